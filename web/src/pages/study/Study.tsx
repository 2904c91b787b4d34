import { useParams, useSearchParams } from "react-router";
import { EmptyState } from "../../shell/states";
import { ImagesWindow } from "./ImagesWindow";
import { StudyPage } from "./StudyPage";

/** A study: images and report side by side; with `?window=images` the images alone, for a second screen. */
export default function Study() {
  const { uid = "" } = useParams();
  const [search] = useSearchParams();
  const which = search.get("window");
  if (which === "proof") return <ProofDone />;
  return which === "images" ? <ImagesWindow uid={uid} /> : <StudyPage uid={uid} />;
}

/** Where the provider's window ends after a proof for a signature. */
function ProofDone() {
  window.close();
  return <EmptyState title="You are confirmed">Close this window and sign.</EmptyState>;
}
