// What differs between two labels, part by part, so that two windows can each change a part of one label.

const PARTS = ["box", "done", "example"];
const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
const value = (label, [part, key]) => (part === "points" ? label.points[key] : label[part]) ?? null;

/** The parts that a person sets. */
export const content = ({ points, box, done, example }) => ({ points, box, done, example });

/** What leads from one label to another: for each part, ["points", key, before, after] or [part, "", before, after]. */
export function changesBetween(before, after) {
  const keys = new Set([...Object.keys(before.points), ...Object.keys(after.points)]);
  const parts = [...[...keys].map((key) => ["points", key]), ...PARTS.map((part) => [part, ""])];
  const changes = parts.map((part) => [...part, value(before, part), value(after, part)]);
  return changes.filter(([, , old, now]) => !same(old, now));
}

/** A label with changes made in it. */
export function withChanges(label, changes) {
  const made = { ...label, points: { ...label.points } };
  for (const [part, key, , after] of changes) {
    if (part !== "points") made[part] = after;
    else if (after === null) delete made.points[key];
    else made.points[key] = after;
  }
  return made;
}

/** Those changes whose part of a label is as it was before them. */
export const stillFit = (label, changes) => changes.filter((one) => same(value(label, one), one[2]));

/** The changes that take others back. */
export const reversed = (changes) => changes.map(([part, key, before, after]) => [part, key, after, before]);

/** What changed, in words: “nose”, “left ear” and the box. */
export function inWords(changes) {
  const words = { box: "the box", done: "whether it is finished", example: "whether it is an example" };
  const names = changes.map(([part, key]) => (part === "points" ? `“${key}”` : words[part]));
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
