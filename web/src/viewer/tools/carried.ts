/** A series as it is carried from the list to a pane. Nothing but its UIDs: what is dragged may leave the window. */
export interface CarriedSeries {
  study: string;
  series: string;
}

const TYPE = "application/x-aris-series";

export function carry(transfer: DataTransfer, series: CarriedSeries): void {
  transfer.setData(TYPE, JSON.stringify(series));
  transfer.effectAllowed = "copy";
}

/** Is a series being carried over? Its name can be read only when it is dropped. */
export const takesSeries = (transfer: DataTransfer): boolean => transfer.types.includes(TYPE);

/** The series that was dropped; null for anything else. */
export function carried(transfer: DataTransfer): CarriedSeries | null {
  try {
    const { study, series } = JSON.parse(transfer.getData(TYPE)) as Partial<CarriedSeries>;
    return typeof study === "string" && typeof series === "string" ? { study, series } : null;
  } catch {
    return null;
  }
}
