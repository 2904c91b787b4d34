import { type ReactNode, type Ref, useContext } from "react";
import { Button as AriaButton, type ButtonProps as AriaProps, Tooltip, TooltipTrigger } from "react-aria-components";
import { CATALOGUE } from "../actions/registry";
import { usePerformable } from "../actions/usePerformable";
import styles from "./Button.module.css";
import { Keys, KeysContext } from "./Keys";

export interface ButtonProps extends Omit<AriaProps, "className" | "children"> {
  children: ReactNode;
  kind?: "plain" | "primary" | "danger" | "ghost";
  size?: "normal" | "small";
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ kind = "plain", size = "normal", children, ...rest }: ButtonProps) {
  return (
    <AriaButton {...rest} className={`${styles.button} ${styles[kind]} ${styles[size]}`}>
      {children}
    </AriaButton>
  );
}

/** A button with a sign instead of words; `label` is its name and its tooltip. */
export function IconButton({ label, children, ...rest }: ButtonProps & { label: string }) {
  return (
    <TooltipTrigger delay={500}>
      <Button {...rest} kind={rest.kind ?? "ghost"} aria-label={label}>
        {children}
      </Button>
      <Tooltip className={styles.tooltip ?? ""}>{label}</Tooltip>
    </TooltipTrigger>
  );
}

/** A button that does an action of the catalogue and shows its key; it is off where the action is not offered. */
export function ActionButton({ action, children, ...rest }: Partial<ButtonProps> & { action: string }) {
  const { can, run, chord } = usePerformable(action);
  const compact = useContext(KeysContext);
  return (
    <Button {...rest} onPress={run} isDisabled={!can || rest.isDisabled}>
      {children ?? CATALOGUE.get(action)?.title ?? action}
      {chord && !compact && <Keys chord={chord} quiet />}
    </Button>
  );
}
