// The page's few pictures, drawn on a grid of 16.

const PATHS = {
  menu: "M2.5 4h11M2.5 8h11M2.5 12h7",
  new: "M8 3v10M3 8h10",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.5 10.5l3 3",
  settings: "M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
  edit: "M3 13l.6-2.8L11 2.8l2.2 2.2-7.4 7.4L3 13Z",
  left: "M9.5 4 5.5 8l4 4",
  right: "M6.5 4l4 4-4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  beside: "M2.5 3h4.5v10H2.5zM9 3h4.5v10H9z",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.5 6.5 12 13 4.5",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Wordmark() {
  return (
    <>
      <svg className="mark" viewBox="0 0 32 24" width="32" height="24" aria-hidden="true" focusable="false">
        <path className="water" d="M1.5 5h8L23 17.5" />
        <path className="gate" d="M11 .5v9" />
        <circle className="wheel" cx="25.5" cy="19" r="4" />
      </svg>
      <span>Penstock</span>
    </>
  );
}
