import { useGet } from "../../api/queries";
import type { Site } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Facts, Section, Table } from "../../shell/Page";
import { ErrorState, Loading } from "../../shell/states";
import styles from "./Settings.module.css";

function said(value: unknown): string {
  if (value === null || value === undefined || value === "") return "not set";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.length === 0) return "none";
  return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
}

/** The site's settings as they hold; they are changed in their file, so that a change is seen and kept. */
export function SitePage() {
  const { data, error, refetch } = useGet<Site>("/api/site", {}, { staleTime: 0 });
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  return (
    <div className={styles.bottom}>
      <Section title="Services">
        <Table label="Services" head={["Service", "Address", "State"]}>
          {data.services.map((service) => (
            <tr key={service.name}>
              <td>{service.name}</td>
              <td className={styles.mono}>{service.address}</td>
              <td>
                <Badge tone={/run|on|listen|ready/.test(service.state) ? "good" : "quiet"}>{service.state}</Badge>
              </td>
            </tr>
          ))}
        </Table>
      </Section>
      <Section title="Store">
        <Facts
          facts={[
            ["Folder", data.store],
            ["Database", data.database],
            ["Settings file", data.file],
          ]}
        />
      </Section>
      <Section
        title="Settings of the site"
        lead="As they hold now. They are changed in the settings file, and hold after the next start."
      >
        <Table label="Settings of the site" head={["Setting", "Value"]}>
          {Object.entries(data.settings).map(([name, value]) => (
            <tr key={name}>
              <td className={styles.mono}>{name}</td>
              <td>{said(value)}</td>
            </tr>
          ))}
        </Table>
      </Section>
    </div>
  );
}
