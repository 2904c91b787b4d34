import { api, at } from "../../api/client";
import type { Study } from "../../api/types";

/**
 * Opens each study once, however often it is asked for while it is open: the live event of the opening itself asks for the
 * study anew, often before the answer to the opening is there.
 */
export class Opening {
  private readonly opened = new Map<string, Promise<Study> | true>();

  /** The study: opened by the first call, looked at by later ones. Calls while it is being opened wait for that. */
  async study(uid: string, signal?: AbortSignal): Promise<Study> {
    const known = this.opened.get(uid);
    if (known) {
      // Whoever asks meanwhile asks because something happened: the answer that is on its way may not have it.
      await known;
      return api.get<Study>(at("studies", uid), undefined, signal);
    }
    const asked = api.post<Study>(at("studies", uid, "open"));
    this.opened.set(uid, asked);
    try {
      const study = await asked;
      if (this.opened.get(uid) === asked) this.opened.set(uid, true);
      return study;
    } catch (error) {
      if (this.opened.get(uid) === asked) this.opened.delete(uid);
      throw error;
    }
  }

  /** Whether the study was opened here, and the answer is there. */
  has(uid: string): boolean {
    return this.opened.get(uid) === true;
  }

  /** The study was left. */
  left(uid: string): void {
    this.opened.delete(uid);
  }
}
