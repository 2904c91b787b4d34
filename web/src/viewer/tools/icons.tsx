import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg
      width="18"
      height="18"
      viewBox="0 0 18 18"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}
const icon = (d: string, filled?: string) => (
  <Icon>
    <path d={d} />
    {filled && <path d={filled} fill="currentColor" stroke="none" />}
  </Icon>
);

/** The toolbar's signs, by the action's id without "viewer.". */
export const icons: Record<string, ReactNode> = {
  "tool.window": icon("M9 2.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13z", "M9 2.5a6.5 6.5 0 010 13z"),
  "tool.zoom": icon("M7.5 13a5.500 5.500 0 100-11 5.500 5.500 0 000 11zM11.500 11.500L16 16M7.500 5v5M5 7.500h5"),
  "tool.pan": icon("M9 2v14M2 9h14M9 2L7 4M9 2l2 2M9 16l-2-2M9 16l2-2M2 9l2-2M2 9l2 2M16 9l-2-2M16 9l-2 2"),
  "tool.scroll": icon("M4 5.500h10M4 9h10M4 12.500h10M9 1.200v1.600M9 15.200v1.600"),
  "tool.magnify": icon("M8 14A6 6 0 108 2a6 6 0 000 12zM12.500 12.500L16 16"),
  "tool.probe": icon("M9 1.500v4.500M9 12v4.500M1.500 9H6M12 9h4.500", "M9 8a1 1 0 100 2 1 1 0 000-2z"),
  "tool.length": icon("M3 15L15 3M1.500 13.500l3 3M13.500 1.500l3 3"),
  "tool.angle": icon("M14.500 3L3 14.500h13M9.500 8a7 7 0 012 6.500"),
  "tool.cobb": icon("M2.500 5.500L14 2.500M3.500 12.500l12 3M8 4.500L9 14"),
  "tool.rectangle": icon("M2.500 4.500h13v9h-13z"),
  "tool.ellipse": icon("M9 4c4 0 6.500 2.200 6.500 5S13 14 9 14s-6.500-2.200-6.500-5S5 4 9 4z"),
  invert: icon("M3 3h12v12H3z", "M3 15L15 3v12z"),
  rotate: icon("M14.500 9a5.500 5.500 0 11-1.700-4M14.800 1.800v3.700h-3.700"),
  "flip.horizontal": icon("M9 2v14M6.500 5L2 13h4.500zM11.500 5l4.500 8h-4.500z"),
  "flip.vertical": icon("M2 9h14M5 6.500L13 2v4.500zM5 11.500l8 4.500v-4.500z"),
  fit: icon("M2.500 6.500v-4h4M11.500 2.500h4v4M15.500 11.500v4h-4M6.500 15.500h-4v-4"),
  actual: icon(
    "M3.500 5l1.500-1v10M12 5l1.500-1v10",
    "M9 6.500a.9.9 0 100 1.800.9.9 0 000-1.800zM9 10a.9.9 0 100 1.800.9.9 0 000-1.800z",
  ),
  reset: icon("M3.500 9a5.500 5.500 0 101.700-4M3.200 1.800v3.700h3.700"),
  play: icon("", "M5 3l10 6-10 6z"),
  stop: icon("", "M5 3.500h3v11H5zM10 3.500h3v11h-3z"),
  link: icon("M7.500 10.500l3-3M8 5l1.500-1.500a3.500 3.500 0 015 5L13 10M10 13l-1.500 1.500a3.500 3.500 0 01-5-5L5 8"),
  overlay: icon("M2.500 5V2.500H5M13 2.500h2.500V5M15.500 13v2.500H13M5 15.500H2.500V13M6 6h6v6H6z"),
  undo: icon("M6.500 3.500L3 7l3.500 3.500M3 7h7.500a4 4 0 010 8H7"),
  delete: icon("M3 5h12M7 5V3h4v2M4.500 5l.8 10.500h7.400L13.500 5M7.500 8v4.500M10.500 8v4.500"),
  series: icon("M2.500 2.500h4v4h-4zM2.500 11.500h4v4h-4zM9.500 2.500h6v13h-6z"),
  "layout.1x1": icon("M2.500 2.500h13v13h-13z"),
  "layout.1x2": icon("M2.500 2.500h13v13h-13zM9 2.500v13"),
  "layout.2x2": icon("M2.500 2.500h13v13h-13zM9 2.500v13M2.500 9h13"),
  more: icon(
    "",
    "M4 7.700a1.300 1.300 0 100 2.600 1.300 1.300 0 000-2.600zM9 7.700a1.300 1.300 0 100 2.600 1.300 1.300 0 000-2.600zM14 7.700a1.300 1.300 0 100 2.600 1.300 1.300 0 000-2.600z",
  ),
};
