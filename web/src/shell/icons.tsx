import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}
const icon = (d: string) => () => (
  <Icon>
    <path d={d} />
  </Icon>
);

export const Close = icon("M4 4l8 8M12 4l-8 8");
export const Check = icon("M3 8.5l3.2 3.2L13 5");
export const Chevron = icon("M4 6l4 4 4-4");
export const Up = icon("M8 13V3M4 7l4-4 4 4");
export const Down = icon("M8 3v10M4 9l4 4 4-4");
export const Back = icon("M10 3L5 8l5 5");
export const Alert = icon("M8 2.2L14.5 13.5h-13zM8 6.5v3M8 11.6v.1");
export const Sun = icon(
  "M8 5.2a2.8 2.8 0 100 5.6 2.8 2.8 0 000-5.6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8L13 13M13 3l-1.2 1.2M4.2 11.8L3 13",
);
export const Moon = icon("M13.5 9.6A6 6 0 016.4 2.5a6 6 0 107.1 7.1z");
export const Person = icon("M8 8.2a3 3 0 100-6 3 3 0 000 6zM2.5 14c.6-2.7 2.8-4 5.5-4s4.9 1.3 5.5 4");
export const Search = icon("M7 12A5 5 0 107 2a5 5 0 000 10zM10.8 10.8L14 14");
export const Upload = icon("M8 10.5V2.5M4.5 6L8 2.5 11.5 6M2.5 11v2.5h11V11");
export const Keyboard = icon("M1.5 4h13v8h-13zM4 6.7h.1M6.7 6.7h.1M9.3 6.7h.1M12 6.7h.1M5 9.3h6");
export const Panel = icon("M2 3h12v10H2zM10 3v10");
export const Dots = icon("M3.5 8h.1M8 8h.1M12.5 8h.1");
export const Star = icon("M8 1.8l1.9 4 4.3.5-3.2 3 .900 4.3L8 11.4l-3.9 2.2.9-4.3-3.2-3 4.3-.5z");
export const Plus = icon("M8 3v10M3 8h10");
export const Trash = icon("M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9");
