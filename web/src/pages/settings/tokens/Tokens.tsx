import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../../../api/client";
import { useGet } from "../../../api/queries";
import type { ApiToken } from "../../../api/types";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { moment } from "../../../shell/format";
import { Section, Table } from "../../../shell/Page";
import { ErrorState, Loading } from "../../../shell/states";
import { toast, toastError } from "../../../shell/toast";
import styles from "../Settings.module.css";
import { NewToken } from "./NewToken";

/** Tokens by which programs act for the user, within their scopes. */
export function Tokens() {
  const queries = useQueryClient();
  const { data, error, refetch } = useGet<ApiToken[]>("/api/tokens");
  const [made, setMade] = useState<ApiToken | null>(null);
  const [adding, setAdding] = useState(false);
  const renew = () => void queries.invalidateQueries({ queryKey: ["/api/tokens"] });
  const revoke = (token: ApiToken) => {
    api
      .remove(at("tokens", token.id))
      .then(() => toast(`The token "${token.name}" is revoked.`))
      .catch(toastError)
      .finally(renew);
  };
  return (
    <Section
      title="API tokens"
      lead="A program acts for you with a token, within its scopes. A token never signs a report."
    >
      <p>
        <Button kind="primary" onPress={() => setAdding(true)}>
          Make a token
        </Button>
      </p>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : (
        data.length > 0 && (
          <Table label="API tokens" head={["Name", "Scopes", "Made", "Ends", "Last used", ""]}>
            {data.map((token) => (
              <tr key={token.id}>
                <td>{token.name}</td>
                <td>{token.scopes.join(", ")}</td>
                <td>{moment(token.created_at)}</td>
                <td>{moment(token.expires_at) || "when revoked"}</td>
                <td>{moment(token.last_used_at) || "never"}</td>
                <td className={styles.end}>
                  <Button size="small" kind="danger" aria-label={`Revoke ${token.name}`} onPress={() => revoke(token)}>
                    Revoke
                  </Button>
                </td>
              </tr>
            ))}
          </Table>
        )
      )}
      <NewToken
        isOpen={adding}
        onClose={() => setAdding(false)}
        onMade={(token) => {
          setAdding(false);
          setMade(token);
          renew();
        }}
      />
      <Dialog
        title="The new token"
        isOpen={made !== null}
        onClose={() => setMade(null)}
        dismissable={false}
        actions={
          <>
            <Button
              onPress={() => {
                navigator.clipboard
                  .writeText(made?.token ?? "")
                  .then(() => toast("Copied."))
                  .catch(toastError);
              }}
            >
              Copy
            </Button>
            <Button kind="primary" onPress={() => setMade(null)}>
              I have kept it
            </Button>
          </>
        }
      >
        <p>It is shown this once. Keep it where secrets are kept.</p>
        <code className={styles.secret}>{made?.token}</code>
      </Dialog>
    </Section>
  );
}
