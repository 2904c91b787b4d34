import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, at } from "../../api/client";
import type { Alarm, AlarmActName } from "../../api/types";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Field, Select } from "../../shell/Field";
import { ErrorLine } from "../../shell/states";
import styles from "./Alarms.module.css";

const TITLES: Record<AlarmActName, string> = {
  acknowledge: "Acknowledge the alarm",
  snooze: "Snooze the alarm",
  close: "Close the alarm",
  reopen: "Reopen the alarm",
};
const LEADS: Record<AlarmActName, string> = {
  acknowledge: "You have seen it and act on it. If it gets worse it is open again.",
  snooze: "It comes back after the time, and at once if it gets worse.",
  close: "It needs nothing more. If it gets worse it is open again.",
  reopen: "It stands among the open ones again.",
};
const MINUTES = [15, 30, 60, 120, 240, 480, 1440];

/** Asks why, and for how long; the act is kept beside the alarm with the name of who did it. */
export function ActDialog({
  alarm,
  act,
  onClose,
  onDone,
}: {
  alarm: Alarm;
  act: AlarmActName;
  onClose(): void;
  onDone(): void;
}) {
  const [why, setWhy] = useState("");
  const most = alarm.severity === "critical" ? 60 : 1440;
  const [minutes, setMinutes] = useState(String(Math.min(60, most)));
  const needed = act === "snooze" || act === "close";
  const { mutate, isPending, error } = useMutation({
    mutationFn: () =>
      api.post<Alarm>(at("alarms", alarm.id, "acts"), {
        act,
        seen: alarm.seen,
        why: why.trim(),
        minutes: act === "snooze" ? Number(minutes) : null,
      }),
    onSuccess: onDone,
  });
  const off = isPending || (needed && !why.trim());
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!off) mutate();
  };
  return (
    <Dialog title={TITLES[act]} isOpen onClose={onClose} size="small">
      <form onSubmit={send} className={styles.form}>
        <p className={styles.quiet}>
          {alarm.title}, {alarm.name || "no name"}. {LEADS[act]}
        </p>
        {act === "snooze" && (
          <Select
            label="For"
            value={minutes}
            onChange={setMinutes}
            options={MINUTES.filter((each) => each <= most).map((each) => ({
              id: String(each),
              label: each < 60 ? `${each} minutes` : each === 60 ? "1 hour" : `${each / 60} hours`,
            }))}
          />
        )}
        <Field
          label={needed ? "Why" : "Why (may be left empty)"}
          value={why}
          onChange={setWhy}
          maxLength={1000}
          lines={3}
          autoFocus
        />
        <ErrorLine error={error} />
        <div className={styles.end}>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isDisabled={off}>
            {TITLES[act].split(" ")[0]}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
