import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useGet, useSession } from "../../../api/queries";
import type { User } from "../../../api/types";
import { Badge } from "../../../shell/Badge";
import { Button } from "../../../shell/Button";
import { personName } from "../../../shell/format";
import { Section, Table } from "../../../shell/Page";
import { ErrorState, Loading } from "../../../shell/states";
import styles from "../Settings.module.css";
import { AddUser } from "./AddUser";
import { ChangeUser } from "./ChangeUser";

export function Users() {
  const queries = useQueryClient();
  const { data, error, refetch } = useGet<User[]>("/api/users");
  const me = useSession().data?.user?.login;
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<User | null>(null);
  const done = () => {
    setAdding(false);
    setChanging(null);
    void queries.invalidateQueries({ queryKey: ["/api/users"] });
  };
  return (
    <Section
      title="Users"
      lead="Readers read and sign, viewers only look, administrators manage users and the site. Nobody is removed: signatures and the audit trail name them."
    >
      <p>
        <Button kind="primary" onPress={() => setAdding(true)}>
          Add a user
        </Button>
      </p>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : (
        <Table label="Users" head={["User name", "Name", "Role", "Organization", "State", ""]}>
          {data.map((user) => (
            <tr key={user.login}>
              <td>{user.login}</td>
              <td>{personName(user.name)}</td>
              <td>{user.role.replace("+", " and ")}</td>
              <td>{user.organization}</td>
              <td>{user.active ? <Badge tone="good">Active</Badge> : <Badge>Not active</Badge>}</td>
              <td className={styles.end}>
                {user.login === me ? (
                  "you"
                ) : (
                  <Button size="small" aria-label={`Change ${user.login}`} onPress={() => setChanging(user)}>
                    Change
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {adding && <AddUser onClose={() => setAdding(false)} onDone={done} />}
      {changing && <ChangeUser user={changing} onClose={() => setChanging(null)} onDone={done} />}
    </Section>
  );
}
