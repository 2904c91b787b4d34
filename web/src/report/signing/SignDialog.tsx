import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { ApiError, api, at } from "../../api/client";
import { keys, useSession } from "../../api/queries";
import type { DraftVersion, Sections, Signed, SignRequest, Study } from "../../api/types";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Checkbox } from "../../shell/Field";
import { personName } from "../../shell/format";
import { ErrorLine } from "../../shell/states";
import { asText } from "../text/sections";
import { acceptedOf } from "../text/verdicts";
import { Identity, type Proof } from "./Identity";
import { Points } from "./Points";
import { readiness } from "./readiness";
import styles from "./Signing.module.css";

export interface SignProps {
  study: Study;
  draft: DraftVersion | null;
  text: Sections;
  base: number;
  correction: boolean;
  seen: { images: number; of: number } | null;
  streaming: boolean;
  conflict: boolean;
  hidden: boolean;
  andNext: boolean;
  /** Saves first; the number of the text that is signed then, null where it could not be saved. */
  save(): Promise<number | null>;
  onSigned(signed: Signed, andNext: boolean): void;
  onClose(): void;
}

/** What will be signed, what stands against it, where it goes, and the password. Whatever fails, the text stays. */
export function SignDialog(props: SignProps) {
  const { study, draft, text, correction, seen, streaming, conflict, hidden, onSigned, onClose } = props;
  const { data: session } = useSession();
  const queries = useQueryClient();
  const [confirmed, setConfirmed] = useState<ReadonlySet<string>>(new Set());
  const [andNext, setAndNext] = useState(props.andNext);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const accepted = useMemo(() => acceptedOf(study.verdicts, draft?.number ?? 0), [study.verdicts, draft]);
  const points = readiness({
    text,
    draft: hidden ? null : draft,
    accepted,
    seen,
    critical: study.critical,
    notice: study.notice,
    streaming,
    conflict,
  });
  const stopped = points.some((each) => each.kind === "stop");
  const open = points.filter((each) => each.kind === "confirm" && !confirmed.has(each.id)).length;
  const two = Boolean(session?.site.second_signature) && !correction;
  const second = study.state === "preliminary";
  const destinations = session?.site.destinations ?? [];

  const sign = async (proof: Proof) => {
    if (busy || stopped || open > 0) return;
    setBusy(true);
    setError(null);
    try {
      const number = await props.save();
      if (number === null) throw new Error("The text could not be saved, so it was not signed. It is kept here.");
      const request: SignRequest = {
        password: proof.password,
        text: number,
        correction,
        seen: seen
          ? { images: seen.images, of: seen.of }
          : { images: 0, of: study.series.reduce((sum, each) => sum + each.images, 0) },
      };
      onSigned(await api.post<Signed>(at("studies", study.study, "sign"), request), andNext);
    } catch (thrown) {
      setError(thrown);
      setBusy(false);
      if (thrown instanceof ApiError && thrown.status === 409)
        void queries.invalidateQueries({ queryKey: keys.study(study.study) });
    }
  };

  const title = correction
    ? "Sign the correction"
    : second
      ? "Give the second signature"
      : two
        ? "Give the first signature"
        : "Sign the report";
  return (
    <Dialog title={title} isOpen onClose={onClose} size="large" dismissable={false}>
      <div className={styles.columns}>
        <section aria-label="Text that is signed" className={styles.text}>
          <div className={styles.patient}>
            <strong>{personName(study.patient.name) || "No name"}</strong>
            <span>{[study.patient.identifier, study.about.description].filter(Boolean).join(" · ")}</span>
          </div>
          <pre className={styles.pre}>{asText(text) || "No text."}</pre>
        </section>
        <div className={styles.side}>
          <Points points={points} confirmed={confirmed} onChange={setConfirmed} />
          <section className={styles.goes}>
            <h3>Where it goes</h3>
            <p>{goesTo(destinations, two && !second)}</p>
            <p className={styles.quiet}>
              A signed report cannot be changed or undone. What is wrong later is put right by a correction, what is
              missing by an addendum.
            </p>
          </section>
          <Identity
            action={correction ? "Sign the correction" : "Sign"}
            busy={busy}
            blocked={stopped ? "See above what stops it." : open > 0 ? `Confirm ${open} above first.` : ""}
            onProved={(proof) => void sign(proof)}
            onCancel={onClose}
          >
            <Checkbox value={andNext} onChange={setAndNext}>
              Then open the next study
            </Checkbox>
            <ErrorLine error={error} />
          </Identity>
        </div>
      </div>
      {hidden && (
        <div className={styles.unread} role="note">
          You have not looked at the draft. <Button onPress={onClose}>Go back</Button>
        </div>
      )}
    </Dialog>
  );
}

function goesTo(destinations: string[], first: boolean): string {
  const names = destinations.join(", ");
  if (first)
    return `It stays in the house as preliminary until another reader has given the second signature${names ? `, then goes to ${names}` : ""}.`;
  return names ? `To ${names}, at once.` : "Nowhere by itself: this site has no destinations. It can be downloaded.";
}
