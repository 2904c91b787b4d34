import type { ReactNode } from "react";
import {
  Checkbox as AriaCheckbox,
  Select as AriaSelect,
  Button,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  SelectValue,
  Text,
  TextArea,
  TextField,
  type TextFieldProps,
} from "react-aria-components";
import styles from "./Field.module.css";
import { Check, Chevron } from "./icons";

export interface FieldProps extends Omit<TextFieldProps, "className" | "children"> {
  label: string;
  hint?: ReactNode;
  error?: string;
  placeholder?: string;
  /** Lines of a longer text; 1 is a single-line input. */
  lines?: number;
  hideLabel?: boolean;
}

/** A labelled text input with its hint and its error. */
export function Field({ label, hint, error, placeholder, lines = 1, hideLabel = false, ...rest }: FieldProps) {
  return (
    <TextField
      {...rest}
      {...(hideLabel ? { "aria-label": label } : {})}
      isInvalid={Boolean(error) || rest.isInvalid}
      // An error said by the server must not hold back the next try, as the browser's own validation does.
      validationBehavior="aria"
      className={styles.field ?? ""}
    >
      {!hideLabel && <Label className={styles.label ?? ""}>{label}</Label>}
      {lines > 1 ? (
        <TextArea rows={lines} placeholder={placeholder} className={styles.area ?? ""} />
      ) : (
        <Input placeholder={placeholder} className={styles.input ?? ""} />
      )}
      {hint && (
        <Text slot="description" className={styles.hint ?? ""}>
          {hint}
        </Text>
      )}
      <FieldError className={styles.error ?? ""}>{error ?? ""}</FieldError>
    </TextField>
  );
}

export interface Option<T extends string> {
  id: T;
  label: string;
}
export interface SelectProps<T extends string> {
  label: string;
  options: readonly Option<T>[];
  value: T;
  onChange: (value: T) => void;
  hideLabel?: boolean;
  isDisabled?: boolean;
}

/** A labelled choice of one of few. */
export function Select<T extends string>({
  label,
  options,
  value,
  onChange,
  hideLabel = false,
  isDisabled,
}: SelectProps<T>) {
  return (
    <AriaSelect
      value={value}
      onChange={(key) => key !== null && onChange(key as T)}
      isDisabled={isDisabled}
      className={styles.field ?? ""}
      {...(hideLabel ? { "aria-label": label } : {})}
    >
      {!hideLabel && <Label className={styles.label ?? ""}>{label}</Label>}
      <Button className={styles.select ?? ""}>
        <SelectValue className={styles.value ?? ""}>{({ selectedText }) => selectedText}</SelectValue>
        <Chevron />
      </Button>
      <Popover className={styles.popover ?? ""}>
        <ListBox className={styles.list ?? ""} items={options}>
          {(option) => (
            <ListBoxItem id={option.id} textValue={option.label} className={styles.option ?? ""}>
              {({ isSelected }) => (
                <>
                  <span className={styles.mark}>{isSelected && <Check />}</span>
                  {option.label}
                </>
              )}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

export function Checkbox({
  children,
  value,
  onChange,
  isDisabled,
}: {
  children: ReactNode;
  value: boolean;
  onChange: (value: boolean) => void;
  isDisabled?: boolean;
}) {
  return (
    <AriaCheckbox isSelected={value} onChange={onChange} isDisabled={isDisabled} className={styles.checkbox ?? ""}>
      <span className={styles.box} aria-hidden="true">
        <Check />
      </span>
      <span>{children}</span>
    </AriaCheckbox>
  );
}
