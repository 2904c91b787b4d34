import { useNavigate } from "react-router";
import { type Action, CATALOGUE, type Context, chordsOf } from "../actions/registry";
import { usePreferences } from "../api/queries";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import styles from "./Help.module.css";
import { Keys } from "./Keys";

export const CONTEXT_TITLES: Record<Context, string> = {
  anywhere: "Everywhere",
  worklist: "Worklist",
  study: "Study",
  viewer: "Images",
  editor: "Report text",
  report: "Report",
  patients: "Patients",
  patient: "Patient",
  alarms: "Alarms",
};

/** Return the catalogue by place, in the order of the titles. */
export function byContext(): [Context, Action[]][] {
  return (Object.keys(CONTEXT_TITLES) as Context[])
    .map((context): [Context, Action[]] => [
      context,
      [...CATALOGUE.values()].filter((action) => action.context === context),
    ])
    .filter(([, actions]) => actions.length > 0);
}

/** Every key that does something, by place. */
export function Help({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const [preferences] = usePreferences();
  const navigate = useNavigate();
  return (
    <Dialog
      title="Keys"
      scrolls
      size="large"
      isOpen={isOpen}
      onClose={onClose}
      actions={
        <Button
          onPress={() => {
            onClose();
            void navigate("/settings/keys");
          }}
        >
          Change keys
        </Button>
      }
    >
      <div className={styles.columns}>
        {byContext().map(([context, actions]) => (
          <section key={context} className={styles.place}>
            <h3 className={styles.title}>{CONTEXT_TITLES[context]}</h3>
            <dl className={styles.list}>
              {actions
                .filter((action) => chordsOf(action, preferences.keys).length > 0)
                .map((action) => (
                  <div key={action.id} className={styles.row}>
                    <dt>{action.title}</dt>
                    <dd>
                      {chordsOf(action, preferences.keys).map((chord) => (
                        <Keys key={chord} chord={chord} />
                      ))}
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
