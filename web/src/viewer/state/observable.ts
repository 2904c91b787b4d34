import { useSyncExternalStore } from "react";

/** Something outside React that components follow: `changed()` tells them, at most once a frame of the screen. */
export class Observable {
  private listeners = new Set<() => void>();
  private told = false;
  version = 0;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly snapshot = () => this.version;

  protected beforeTelling(): void {}

  changed(): void {
    if (this.told) return;
    this.told = true;
    requestAnimationFrame(() => {
      this.told = false;
      this.flush();
    });
  }

  /** Tells at once. */
  flush(): void {
    this.beforeTelling();
    this.version++;
    for (const listener of [...this.listeners]) listener();
  }
}

/** Draws the component anew whenever the thing changes. */
export function useObserved<T extends Observable>(thing: T): T {
  useSyncExternalStore(thing.subscribe, thing.snapshot);
  return thing;
}

/** Draws the component anew only when `facts` of the thing change: for what stands beside a picture that changes with every frame. */
export function useFacts(thing: Observable, facts: () => string): void {
  useSyncExternalStore(thing.subscribe, facts);
}
