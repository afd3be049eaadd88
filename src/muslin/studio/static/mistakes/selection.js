// Which images the room shows, as far as the address names them.

/** What no other view, part or run keeps of a selection. */
export const NO_SELECTION = { label: "", predicted: "", outcome: "", change: "", slice: "", value: "", why: "" };
