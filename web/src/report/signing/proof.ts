const NAME = "aris-proof";

/** Tell the page that waits for a proof that the provider's window has come to its end. Nothing but that is told: what was proved
 *  the server knows. */
export function tellProof(): void {
  if (typeof BroadcastChannel === "undefined") return;
  const talk = new BroadcastChannel(NAME);
  talk.postMessage("done");
  talk.close();
}

/** Call `done` when a provider's window has come to its end, until the returned function is called. */
export function onProof(done: () => void): () => void {
  if (typeof BroadcastChannel === "undefined") return () => undefined;
  const talk = new BroadcastChannel(NAME);
  talk.onmessage = () => done();
  return () => talk.close();
}
