import { useMemo, useState } from "react";
import { at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { Sections, Study, Text } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { moment, personName } from "../../shell/format";
import { Loading } from "../../shell/states";
import { DiffText } from "../conflict/DiffText";
import { differing, SECTIONS, TITLES } from "../text/sections";
import { MODEL } from "../useReport";
import styles from "./History.module.css";

/** A text that once stood, or stands beside. */
interface Version {
  id: string;
  title: string;
  detail: string;
  at: string;
  badge: string;
  sections: Sections;
}

export interface HistoryProps {
  study: Study;
  text: Sections;
  mayRestore: boolean;
  onRestore(sections: Sections): void;
  onClose(): void;
}

/** All versions of the text: saved ones, those kept beside, drafts and signed reports; each can be compared and put back. */
export function HistoryDialog({ study, text, mayRestore, onRestore, onClose }: HistoryProps) {
  const texts = useGet<Text[]>(at("studies", study.study, "texts"), {}, { staleTime: 0 });
  const versions = useMemo(() => versionsOf(study, texts.data), [study, texts.data]);
  const [id, setId] = useState("");
  const chosen = versions.find((each) => each.id === id) ?? versions[0];
  const changed = chosen ? differing(chosen.sections, text) : [];
  return (
    <Dialog
      title="Versions of the text"
      isOpen
      onClose={onClose}
      size="large"
      actions={
        <>
          <Button onPress={onClose}>Close</Button>
          {mayRestore && (
            <Button
              kind="primary"
              isDisabled={!chosen || changed.length === 0}
              onPress={() => chosen && onRestore(chosen.sections)}
            >
              Put this version into the report
            </Button>
          )}
        </>
      }
    >
      <div className={styles.columns}>
        <div className={styles.list} role="radiogroup" aria-label="Versions">
          {texts.isPending && <Loading />}
          {versions.map((each) => (
            <label key={each.id} className={styles.version} data-chosen={each.id === chosen?.id || undefined}>
              <input
                type="radio"
                name="version"
                checked={each.id === chosen?.id}
                onChange={() => setId(each.id)}
                className={styles.radio}
              />
              <span className={styles.title}>{each.title}</span>
              {each.badge && <Badge tone={each.badge === "signed" ? "good" : "quiet"}>{each.badge}</Badge>}
              <span className={styles.detail}>{[moment(each.at), each.detail].filter(Boolean).join(" · ")}</span>
            </label>
          ))}
          {!texts.isPending && versions.length === 0 && <p className={styles.quiet}>Nothing was saved yet.</p>}
        </div>
        <div className={styles.preview} aria-live="polite">
          {chosen && changed.length === 0 && <p className={styles.quiet}>This is the text in the report now.</p>}
          {chosen &&
            SECTIONS.filter((name) => chosen.sections[name] || changed.includes(name)).map((name) => (
              <section key={name}>
                <h3 className={styles.section}>{TITLES[name]}</h3>
                <DiffText before={text[name]} after={chosen.sections[name]} />
              </section>
            ))}
        </div>
      </div>
    </Dialog>
  );
}

function versionsOf(study: Study, texts: Text[] | undefined): Version[] {
  const known = texts ?? [...(study.text ? [study.text] : []), ...study.beside];
  const made: Version[] = known.map((each) => ({
    id: `text ${each.number ?? "beside"} ${each.at}`,
    title: each.author === MODEL ? `Draft ${each.draft}` : each.author,
    detail: each.number === null ? "came second" : `text ${each.number}`,
    at: each.at,
    badge: each.number === null ? "beside" : each.author === MODEL ? "model" : "",
    sections: each.sections,
  }));
  for (const each of study.drafts)
    made.push({
      id: `draft ${each.number}`,
      title: each.origin === "model" ? `${each.model} ${each.revision}`.trim() : "Report from outside",
      detail: `draft ${each.number}`,
      at: each.at,
      badge: each.origin === "model" ? "draft" : "outside",
      sections: each.sections,
    });
  for (const each of study.reports)
    made.push({
      id: `report ${each.number}`,
      title: each.signatures.map((mark) => personName(mark.name)).join(", "),
      detail: `${each.kind} ${each.number}`,
      at: each.at,
      badge: "signed",
      sections: each.sections,
    });
  return made.sort((a, b) => b.at.localeCompare(a.at));
}
