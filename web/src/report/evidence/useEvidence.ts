import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, at, words } from "../../api/client";
import type { DraftVersion, EvidenceOnImage } from "../../api/types";
import type { Overlay } from "../../viewer/types";

/** A finding by its name, or a sentence of the draft. */
export interface About {
  kind: "finding" | "sentence";
  about: string;
}

/** What the images show of the report now. */
export interface Evidence {
  overlay: Overlay;
  /** The finding or sentence that is shown, pinned or only pointed at. */
  about: About | null;
  pinned: About | null;
  /** Its evidence; null while it is fetched, or where there is none. */
  found: EvidenceOnImage | null;
  problem: string;
  /** It takes long: the model has much to do. */
  slow: boolean;
  /** Show while the mouse is over it. */
  point(about: About | null): void;
  /** Show until another one is chosen or it is chosen again. */
  pin(about: About | null): void;
}

const PAUSE = 120;
const SLOW = 4000;
const LONGEST = 90_000;

const TOO_LONG = "The model is too busy to show it now. Choose it again to try once more.";

export function sameAbout(one: About | null, other: About | null): boolean {
  return one?.kind === other?.kind && one?.about === other?.about;
}

/** The draft's own boxes of a finding, shown at once; the server's evidence takes their place. */
function ownRegions(draft: DraftVersion | null, about: About) {
  return about.kind === "finding" ? (draft?.regions.filter((each) => each.label === about.about) ?? []) : [];
}

/** Evidence of findings and sentences on the images: on pointing, and for good on choosing. */
export function useEvidence(study: string, draft: DraftVersion | null, enabled: boolean): Evidence {
  const queries = useQueryClient();
  const [pointed, setPointed] = useState<About | null>(null);
  const [pinned, setPinned] = useState<About | null>(null);
  const [found, setFound] = useState<{ about: About; evidence: EvidenceOnImage | null; problem: string } | null>(null);
  const [slow, setSlow] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const about = enabled ? (pointed ?? pinned) : null;
  const draftNumber = draft?.number ?? 0;
  // Pointed at and then chosen is still the same.
  const [kind, name] = [about?.kind, about?.about];

  // biome-ignore lint/correctness/useExhaustiveDependencies: another study or draft has other evidence
  useEffect(() => {
    setPointed(null);
    setPinned(null);
    setFound(null);
  }, [study, draftNumber]);

  useEffect(() => {
    setSlow(false);
    if (kind === undefined || name === undefined) return;
    const about: About = { kind, about: name };
    let over = false;
    const queryKey = [at("studies", study), "evidence", draftNumber, about.kind, about.about];
    const waiting = setTimeout(() => setSlow(true), SLOW);
    const longest = setTimeout(() => {
      over = true;
      setFound({ about, evidence: null, problem: TOO_LONG });
      void queries.cancelQueries({ queryKey, exact: true });
    }, LONGEST);
    void queries
      .fetchQuery({
        queryKey,
        queryFn: ({ signal }) =>
          api.get<EvidenceOnImage>(at("studies", study, "evidence"), { [about.kind]: about.about }, signal),
        staleTime: Number.POSITIVE_INFINITY,
        retry: false,
      })
      .then(
        (evidence) => !over && setFound({ about, evidence, problem: "" }),
        (error) => !over && setFound({ about, evidence: null, problem: words(error) }),
      )
      .finally(() => clearTimeout(longest));
    return () => {
      over = true;
      clearTimeout(waiting);
      clearTimeout(longest);
      // The model works for nobody who has gone on.
      void queries.cancelQueries({ queryKey, exact: true });
    };
  }, [kind, name, study, draftNumber, queries]);

  const point = useCallback((next: About | null) => {
    clearTimeout(timer.current);
    // A mouse that only passes over asks for nothing.
    timer.current = setTimeout(() => setPointed(next), next === null ? 60 : PAUSE);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  const pin = useCallback((next: About | null) => {
    clearTimeout(timer.current);
    setPointed(null);
    setPinned((before) => (sameAbout(before, next) ? null : next));
  }, []);

  const here = about !== null && found !== null && sameAbout(found.about, about) ? found : null;
  const overlay = useMemo<Overlay>(() => {
    if (about === null) return { regions: [], lit: null, map: null, opacity: 0.5 };
    const evidence = here?.evidence;
    const regions = evidence?.regions.length ? evidence.regions : ownRegions(draft, about);
    const map = evidence?.map ? { image: evidence.image, frame: evidence.frame, source: evidence.map } : null;
    return { regions, lit: regions[0]?.label ?? null, map, opacity: 0.5 };
  }, [about, here, draft]);
  return { overlay, about, pinned, found: here?.evidence ?? null, problem: here?.problem ?? "", slow, point, pin };
}
