import type { Role } from "../../../api/types";

export const ROLES: { id: Role; label: string }[] = [
  { id: "reader", label: "Reader: reads and signs" },
  { id: "viewer", label: "Viewer: only looks" },
  { id: "admin", label: "Administrator: users and site, no patients" },
  { id: "admin+reader", label: "Administrator and reader" },
];
