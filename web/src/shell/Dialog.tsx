import { type ReactNode, useEffect, useRef } from "react";
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { IconButton } from "./Button";
import styles from "./Dialog.module.css";
import { Close } from "./icons";

export interface DialogProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at the bottom, the main one last. */
  actions?: ReactNode;
  size?: "small" | "medium" | "large";
  /** It holds text to scroll and little to stop at: the keys scroll it. */
  scrolls?: boolean;
  /** False: only the buttons close it, as where a password was typed. */
  dismissable?: boolean;
  role?: "dialog" | "alertdialog";
}

/** A dialog over the page. While one is open the keys of the page are off. */
export function Dialog({
  title,
  isOpen,
  onClose,
  children,
  actions,
  size = "medium",
  scrolls = false,
  dismissable = true,
  role,
}: DialogProps) {
  // A button that was pressed and is disabled then has lost the focus: Escape closes all the same.
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    if (!isOpen) return;
    const onKey = (event: KeyboardEvent) => {
      const lost = document.activeElement === null || document.activeElement === document.body;
      if (event.key === "Escape" && lost && !event.defaultPrevented) close.current();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [isOpen]);
  return (
    <ModalOverlay
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable={dismissable}
      className={styles.overlay ?? ""}
      data-aris-modal=""
    >
      <Modal className={`${styles.modal} ${styles[size]}`}>
        <AriaDialog role={role ?? "dialog"} className={styles.dialog ?? ""}>
          <header className={styles.header}>
            <Heading slot="title" className={styles.title ?? ""}>
              {title}
            </Heading>
            <IconButton label="Close" size="small" onPress={onClose}>
              <Close />
            </IconButton>
          </header>
          {scrolls ? (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
            <section className={styles.body} tabIndex={0} aria-label={title}>
              {children}
            </section>
          ) : (
            <div className={styles.body}>{children}</div>
          )}
          {actions && <footer className={styles.actions}>{actions}</footer>}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
