// What is black and white: presets, and dragging.

export const HOUNSFIELD = [
  ["Soft tissue", -160, 240], ["Lung", -1350, 150], ["Bone", -500, 1300], ["Brain", 0, 80],
  ["Liver", -20, 180], ["Vessels", -50, 550],
];

export function presetsOf(scan) {
  const own = [["As it is", ...scan.window], ["Whole range", scan.low, scan.high]];
  return scan.hounsfield ? [...own, ...HOUNSFIELD] : own;
}

// A window after dragging: to the side is its width, up and down its middle.
export function dragged([low, high], dx, dy, [darkest, brightest]) {
  const range = brightest - darkest;
  const width = Math.max(range / 2000, (high - low) * Math.exp(dx / 200));
  const middle = (low + high) / 2 + (dy / 500) * Math.max(width, range / 20);
  return [middle - width / 2, middle + width / 2];
}
