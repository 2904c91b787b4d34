/** A stack that wants its images: those nearest to what is shown first. */
export interface Demand {
  keys: string[];
  /** The image that is shown. */
  index: number;
  /** Bytes of each image. */
  bytes: number[];
}

/** The images of a stack from the shown one outward: the shown, next, previous, and so on. */
export function* outward(count: number, index: number): Generator<number> {
  if (count <= 0) return;
  const start = Math.min(count - 1, Math.max(0, index));
  yield start;
  for (let away = 1; away < count; away++) {
    if (start + away < count) yield start + away;
    if (start - away >= 0) yield start - away;
  }
}

/** All images that the stacks want, best first, as many as fit into `budget` bytes. The first stack is the one in hand; the
 *  others take turns with it two to one, until each is done. A stack's shown image always comes before the neighbours of another. */
export function plan(demands: Demand[], budget: number): string[] {
  const wanted: string[] = [];
  const known = new Set<string>();
  let left = budget;
  const take = (demand: Demand, i: number): boolean => {
    const key = demand.keys[i];
    if (known.has(key)) return true;
    if (demand.bytes[i] > left && wanted.length > 0) return false;
    known.add(key);
    wanted.push(key);
    left -= demand.bytes[i];
    return true;
  };
  const queues = demands.map((demand) => ({ demand, order: outward(demand.keys.length, demand.index), open: true }));
  const step = (queue: (typeof queues)[number]) => {
    if (!queue.open) return;
    const { value, done } = queue.order.next();
    if (done) queue.open = false;
    else if (!take(queue.demand, value)) queue.open = false;
  };
  for (const queue of queues) step(queue);
  while (queues.some(({ open }) => open)) {
    for (const [i, queue] of queues.entries()) {
      step(queue);
      if (i === 0) step(queue);
    }
  }
  return wanted;
}
