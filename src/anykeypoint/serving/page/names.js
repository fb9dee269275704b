// Where the name of each point goes: beside it; where that would cover another name or a point, further away, with a
// line to its point; and where there is no room at all, nowhere: such a name waits for the pointer.

const BESIDE = 11; // from the middle of a point to its name, screen pixels
const ROOM = 8; // no name comes nearer to the middle of a point
const FAR = [24, 38, 54]; // lengths of the lines to names that are moved
const STEP = 6; // between two places of a line that are looked at
const TURNS = [0, 4, 7, 1, 5, 3, 6, 2].map((eighth) => (eighth * Math.PI) / 4); // right, left, then upwards first

/**
 * Places for names, one after the other, each where it is free.
 *
 * points: [{ key, x, y, width, height }]: the middle of a point, and the size of its name; screen pixels.
 * size: [width, height] of the stage; no name reaches beyond it.
 * before: what an earlier call gave, so that names do not jump while a point is dragged.
 * Gives key -> { left, top, line, way }: the name's corner; line: where the line ends at the name, null where there is
 * none. A name without room is not in it.
 */
export function placeNames(points, size, before = new Map()) {
  const found = new Map();
  const taken = []; // [left, top, right, bottom] of names and of places on lines
  const clear = (box) => !taken.some((other) => meet(box, other)) && !points.some((one) => meet(box, round(one)));
  const inside = ([left, top, right, bottom]) => left >= 0 && top >= 0 && right <= size[0] && bottom <= size[1];
  for (const ways of [beside, away]) {
    for (const point of points) {
      if (found.has(point.key)) continue;
      const all = ways(point);
      const old = all.find(({ way }) => way === before.get(point.key)?.way);
      const free = [old, ...all].find((one) => one && inside(one.box) && clear(one.box) && lineIsClear(one, point, points, taken));
      if (!free) continue;
      taken.push(free.box, ...free.places);
      found.set(point.key, { left: free.box[0], top: free.box[1], line: free.line, way: free.way });
    }
  }
  return found;
}

const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
const round = ({ x, y }, room = ROOM) => [x - room, y - room, x + room, y + room];

/** The boxes that touch a point: on its right, its left, above and below. */
function beside({ x, y, width, height }) {
  const corners = [
    [x + BESIDE, y - height / 2],
    [x - BESIDE - width, y - height / 2],
    [x - width / 2, y - BESIDE - height],
    [x - width / 2, y + BESIDE],
  ];
  return corners.map(([left, top], way) => ({ box: [left, top, left + width, top + height], line: null, places: [], way }));
}

/** The boxes at the ends of lines, in all directions, the short lines first. */
function away({ x, y, width, height }) {
  return FAR.flatMap((far, ring) => TURNS.map((turn, number) => {
    const [dx, dy] = [Math.cos(turn), Math.sin(turn)];
    const line = [x + dx * far, y + dy * far];
    const left = line[0] - (dx > 0.1 ? 0 : dx < -0.1 ? width : width / 2);
    const top = line[1] - (dy > 0.9 ? 0 : dy < -0.9 ? height : height / 2);
    const places = [];
    for (let at = BESIDE; at < far; at += STEP) places.push(round({ x: x + dx * at, y: y + dy * at }, 2));
    return { box: [left, top, left + width, top + height], line, places, way: 4 + ring * TURNS.length + number };
  }));
}

const lineIsClear = ({ places }, point, points, taken) =>
  !places.some((place) => taken.some((other) => meet(place, other)) || points.some((one) => one !== point && meet(place, round(one, 6))));
