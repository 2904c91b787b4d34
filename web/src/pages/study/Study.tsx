import { useEffect } from "react";
import { useParams, useSearchParams } from "react-router";
import { tellProof } from "../../report/signing/proof";
import { EmptyState } from "../../shell/states";
import { ImagesWindow } from "./ImagesWindow";
import { StudyPage } from "./StudyPage";

/** A study: images and report side by side; with `?window=images` the images alone, for a second screen. */
export default function Study() {
  const { uid = "" } = useParams();
  const [search] = useSearchParams();
  const which = search.get("window");
  if (which === "proof") return <ProofDone problem={search.get("problem")} />;
  return which === "images" ? <ImagesWindow uid={uid} /> : <StudyPage uid={uid} />;
}

/** Why the provider's answer proves nothing, in words. */
const PROBLEMS: Record<string, string> = {
  oidc_unavailable: "The sign-in service cannot be reached. Try again later.",
  oidc_failed: "The sign-in service did not confirm who you are. Try again.",
  oidc_denied: "The sign-in was refused or cancelled.",
  oidc_expired: "The sign-in took too long. Try again.",
  oidc_unknown_user: "You are known there, but not here: ask an administrator of this workspace to add you.",
  oidc_stale: "The sign-in service did not ask you anew, so this proves nothing. Try again.",
  oidc_other_user: "Somebody else signed in there. Sign in as yourself.",
};

/** Where the provider's window ends after a proof for a signature. It stays open only to say what went wrong. */
function ProofDone({ problem }: { problem: string | null }) {
  useEffect(() => {
    tellProof();
    if (problem === null) window.close();
  }, [problem]);
  if (problem !== null)
    return (
      <EmptyState title="You are not confirmed">
        {PROBLEMS[problem] ?? PROBLEMS.oidc_failed} Your text is kept: close this window and go on.
      </EmptyState>
    );
  return <EmptyState title="You are confirmed">Close this window and sign.</EmptyState>;
}
