import { useState } from "react";
import { useNavigate } from "react-router";
import { useGet, useSession } from "../api/queries";
import type { IntakeLine } from "../api/types";
import { Button } from "../shell/Button";
import { personName, since } from "../shell/format";
import { Alert } from "../shell/icons";
import { AcknowledgeDialog } from "./AcknowledgeDialog";
import styles from "./EmergencyBanner.module.css";
import { useLiveIntakes } from "./useIntakes";

/** On every page: an emergency in an intake, until a person has acknowledged it. */
export function EmergencyBanner() {
  const role = useSession().data?.user?.role ?? "admin";
  useLiveIntakes();
  const { data = [] } = useGet<IntakeLine[]>("/api/intakes/emergencies", {}, { enabled: role !== "admin" });
  const [open, setOpen] = useState<IntakeLine | null>(null);
  const navigate = useNavigate();
  const first = data[0];
  return (
    <div role="alert">
      {first && (
        <div className={styles.banner}>
          <Alert />
          <span className={styles.text}>
            <strong>Emergency in an intake:</strong> {personName(first.patient.name) || first.patient.identifier},{" "}
            {first.reason || "see the answers"}
            {first.ended_at && ` (${since(first.ended_at, Date.now())})`}
            {data.length > 1 && `, and ${data.length - 1} more`}
          </span>
          <Button size="small" onPress={() => void navigate(`/intakes/${first.name}`)}>
            Open
          </Button>
          {role.includes("reader") && (
            <Button size="small" onPress={() => setOpen(first)}>
              Acknowledge
            </Button>
          )}
        </div>
      )}
      {open && <AcknowledgeDialog intake={open} onClose={() => setOpen(null)} />}
    </div>
  );
}
