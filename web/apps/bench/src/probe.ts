// What the benchmark reads when the run is over.

export interface Probe {
  /** When so many characters were shown: milliseconds of this page, characters. */
  readonly shown: [at: number, characters: number][];
  /** Answers that have ended. */
  ended: number;
  /** The time between two frames, and between an input and the first listener that hears it, in milliseconds. */
  readonly gaps: number[];
  readonly inputDelays: number[];
  start: () => void;
  ready: boolean;
}

export const probe: Probe = { shown: [], ended: 0, gaps: [], inputDelays: [], start: () => {}, ready: false };

declare global {
  interface Window {
    bench: Probe;
  }
}
window.bench = probe;

/** Say how to begin. */
export function begin(start: () => void): void {
  probe.start = start;
  probe.ready = true;
}

/** An answer has ended; with the last of them, so has what is measured. */
export function ended(all: number): void {
  probe.ended += 1;
  if (probe.ended === all) performance.mark("bench:end");
}

/** Watch how soon the page answers: its frames, and the keys that are pressed. */
export function watch(): void {
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    probe.gaps.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  addEventListener("keydown", (event) => probe.inputDelays.push(performance.now() - event.timeStamp));
}
