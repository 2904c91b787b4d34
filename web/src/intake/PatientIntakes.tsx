import { useState } from "react";
import { Link } from "react-router";
import { useGet, useSession } from "../api/queries";
import type { IntakeList } from "../api/types";
import { Button } from "../shell/Button";
import { moment } from "../shell/format";
import { LevelBadge } from "./LevelBadge";
import { LinkDialog } from "./LinkDialog";
import styles from "./PatientIntakes.module.css";
import { useLiveIntakes } from "./useIntakes";
import { STATUS } from "./words";

/** A patient's intakes, and for readers the way to make a link: a section of the patient's page. */
export function PatientIntakes({
  identifier,
  issuer = "",
  birthDate = "",
  name = "",
}: {
  identifier: string;
  issuer?: string;
  birthDate?: string;
  name?: string;
}) {
  const born = birthDate.replace(/\D/g, "");
  const reader = useSession().data?.user?.role.includes("reader") ?? false;
  useLiveIntakes();
  const { data } = useGet<IntakeList>(
    "/api/intakes",
    { patient_id: identifier, issuer, birth_date: born },
    { enabled: identifier !== "" },
  );
  const [making, setMaking] = useState(false);
  return (
    <section aria-label="Intakes" className={styles.intakes}>
      <header className={styles.header}>
        <h2 className={styles.title}>Intakes</h2>
        {reader && (
          <Button size="small" onPress={() => setMaking(true)}>
            New link
          </Button>
        )}
      </header>
      {data && data.intakes.length === 0 && <p className={styles.quiet}>No intake of this patient.</p>}
      <ul className={styles.list}>
        {data?.intakes.map((intake) => (
          <li key={intake.name}>
            <Link to={`/intakes/${intake.name}`} className={styles.link}>
              {moment(intake.ended_at ?? intake.made_at)}
            </Link>{" "}
            <LevelBadge level={intake.level} /> {intake.complaint || STATUS[intake.status]}
          </li>
        ))}
      </ul>
      {making && (
        <LinkDialog patient={{ identifier, issuer, name, birth_date: born }} onClose={() => setMaking(false)} />
      )}
    </section>
  );
}
