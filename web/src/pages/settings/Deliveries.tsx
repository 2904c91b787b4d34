import { useGet } from "../../api/queries";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { moment } from "../../shell/format";
import { Section, Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import styles from "./Settings.module.css";

/** A document on its way to where it belongs, as GET /api/deliveries says it. */
interface OpenDelivery {
  study?: string;
  destination: string;
  format?: string;
  state: string;
  attempts: number;
  error: string;
  at: string | null;
}

export function Deliveries() {
  const { data, error, refetch, isFetching } = useGet<OpenDelivery[]>("/api/deliveries", {}, { staleTime: 0 });
  return (
    <Section
      title="Deliveries"
      lead="Signed documents on their way: each is tried again, with growing pauses, until the receiver has acknowledged it."
    >
      <p>
        <Button size="small" onPress={() => void refetch()} isDisabled={isFetching}>
          Refresh
        </Button>
      </p>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : data.length === 0 ? (
        <EmptyState title="Nothing is on its way">All that was signed is where it belongs.</EmptyState>
      ) : (
        <Table label="Open deliveries" head={["Study", "To", "State", "Tries", "Last", "What was said"]}>
          {data.map((one, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a report may go twice to one place
            <tr key={index}>
              <td className={styles.mono}>{one.study ?? ""}</td>
              <td>{one.destination}</td>
              <td>
                <Badge tone={one.error ? "urgent" : "quiet"}>{one.state}</Badge>
              </td>
              <td>{one.attempts}</td>
              <td>{moment(one.at)}</td>
              <td>{one.error}</td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}
