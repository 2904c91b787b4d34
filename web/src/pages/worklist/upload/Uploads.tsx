import { useEffect, useRef, useState } from "react";
import type { Query } from "../../../api/client";
import { upload } from "../../../api/upload";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { toast } from "../../../shell/toast";
import { AboutPictures } from "./AboutPictures";
import { dropped, isPicture } from "./files";
import { Progress } from "./Progress";
import { NOTHING, type Outcome, sendAll } from "./queue";
import styles from "./Uploads.module.css";

interface UploadsProps {
  /** A number that grows opens the choice of files. */
  choosing: number;
  allowed: boolean;
  onDone: () => void;
  onOpen: (study: string) => void;
}

/** Takes files that are dropped anywhere on the page or chosen, asks whose pictures they are, sends them and says what came of it. */
export function Uploads({ choosing, allowed, onDone, onOpen }: UploadsProps) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [files, setFiles] = useState<File[]>([]);
  const [outcome, setOutcome] = useState<Outcome>(NOTHING);
  const stop = useRef<AbortController>(null);
  const pictures = files.filter(isPicture);

  useEffect(() => {
    if (choosing > 0) input.current?.click();
  }, [choosing]);

  const begin = async (list: File[], about: Query) => {
    setFiles([]);
    const control = new AbortController();
    stop.current = control;
    await sendAll(
      list,
      (file, more, onProgress, signal) =>
        upload(file, { ...(isPicture(file) ? about : {}), more: more ? 1 : "" }, onProgress, signal),
      setOutcome,
      control.signal,
    );
    onDone();
  };
  const close = () => {
    stop.current?.abort();
    setOutcome(NOTHING);
  };
  const take = (list: File[]) => {
    if (outcome.running) {
      toast("An upload is on its way: add more when it has ended.", { tone: "error" });
      return;
    }
    if (list.some(isPicture)) setFiles(list);
    else void begin(list, {});
  };
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });

  useEffect(() => {
    if (!allowed) return;
    const carries = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const onOver = (event: DragEvent) => {
      if (!carries(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      if (!carries(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      dropped(event.dataTransfer).then(
        (list) => {
          if (list.length > 0) latest.current(list);
          else toast("There are no files in what was dropped.", { tone: "error" });
        },
        () => toast("What was dropped cannot be read by the browser. Choose the files by Upload.", { tone: "error" }),
      );
    };
    window.addEventListener("dragover", onOver);
    window.addEventListener("dragleave", onLeave);
    window.addEventListener("drop", onDrop);
    return () => {
      window.removeEventListener("dragover", onOver);
      window.removeEventListener("dragleave", onLeave);
      window.removeEventListener("drop", onDrop);
    };
  }, [allowed]);

  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label="Files to upload"
        onChange={(event) => {
          if (event.target.files?.length) take([...event.target.files]);
          event.target.value = "";
        }}
      />
      {over && (
        <div className={styles.over}>
          <p className={styles.call}>Drop DICOM files, folders, a zip or pictures</p>
        </div>
      )}
      {pictures.length > 0 && (
        <AboutPictures
          pictures={pictures.length}
          others={files.length - pictures.length}
          onClose={() => setFiles([])}
          onSend={(about) => void begin(files, about)}
        />
      )}
      <Dialog
        title="Upload"
        isOpen={outcome.total > 0}
        onClose={close}
        dismissable={!outcome.running}
        actions={
          <>
            {!outcome.running && outcome.studies[0] && outcome.studies.length === 1 && (
              <Button kind="primary" onPress={() => onOpen(outcome.studies[0] ?? "")}>
                Open the study
              </Button>
            )}
            <Button onPress={close}>{outcome.running ? "Stop" : "Close"}</Button>
          </>
        }
      >
        <Progress outcome={outcome} />
      </Dialog>
    </>
  );
}
