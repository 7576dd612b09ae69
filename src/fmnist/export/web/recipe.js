// From a photo to the data set's form: fmnist.images.prepare step by step, with its numbers. Knows no page.
// A picture is as in pillow.js; a map of levels or a mask is a Float32Array, row by row, as it is float32 in Python.

import { BICUBIC, BOX, LANCZOS, blend, crop, flatten, picture, rank, resize, round, sharpen } from "./pillow.js";

let R; // the numbers of fmnist.images.recipe, by their names there

// image: RGBA; how: the model's preparation, if it is known.
// Returns the levels, a byte each, row by row, of each pixel one, or three where the shape says so; and the facts of
// fmnist.images.CutOut.
export function prepare(image, [height, width, channels = 1], recipe, how) {
  R = recipe;
  if (!how && channels === 3) how = { method: "whole", negate: false };
  const negate = Boolean(how?.negate), taken = { objects: 1, share: 0, border: 0, negated: false };
  if (how?.method === "whole") {
    const whole = contained(flatten(image, 255, channels), width, height);
    return { levels: turned(whole, negate), found: { ...taken, contrast: range(whole) } };
  }
  if (image.height === height && image.width === width) {
    const flat = flatten(image, negate ? 255 : 0, channels), edge = border(flat, 0);
    const negative = negate ? quantile(edge, 0.75) < 127.5 : Boolean(how) && quantile(edge, 0.25) > 127.5;
    const negated = channels === 1 && negative;
    return { levels: turned(flat, negated), found: { ...taken, contrast: range(flat), negated } };
  }
  const { small, found } = cutOut(image, width, height, channels);
  return { levels: turned(small, negate), found };
}

// The words of what there is to doubt, of fmnist.images.DOUBTS; those of `nothing` stand alone.
export function doubted(found, { doubts, nothing }) {
  const words = Object.keys(doubts).filter((word) => {
    const [fact, low, high] = doubts[word];
    return !(low <= found[fact] && found[fact] <= high);
  });
  return words.includes(nothing) ? [nothing] : words;
}

// The lightest level against the darkest, of the channel where they are furthest apart.
function range({ channels, data }) {
  const most = new Array(channels).fill(0), least = new Array(channels).fill(255);
  data.forEach((level, at) => {
    most[at % channels] = Math.max(most[at % channels], level);
    least[at % channels] = Math.min(least[at % channels], level);
  });
  return Math.max(...most.map((level, c) => level - least[c]));
}

function turned({ data }, negate) {
  return negate ? data.map((level) => 255 - level) : data;
}

// All of a picture, shrunk or enlarged to fit, on a ground of its border's level.
function contained(image, width, height) {
  if (image.width === width && image.height === height) return image;
  const { channels } = image, scale = Math.min(height / image.height, width / image.width);
  const [across, down] = [image.width, image.height].map((length) => Math.max(1, round(length * scale)));
  const left = Math.floor((width - across) / 2), top = Math.floor((height - down) / 2), result = picture(width, height, channels);
  const ground = Array.from({ length: channels }, (_, c) => round(quantile(border(image, c), 0.5)));
  result.data.forEach((_, at) => { result.data[at] = ground[at % channels]; });
  const small = resize(image, across, down, LANCZOS), row = across * channels;
  for (let y = 0; y < down; y++)
    result.data.set(small.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * channels);
  return result;
}

// The levels of a channel in the four outermost rows and columns; the corners count twice.
function border({ width, height, channels, data }, channel) {
  const level = (x, y) => data[(y * width + x) * channels + channel];
  const rows = [0, height - 1].map((y) => Array.from({ length: width }, (_, x) => level(x, y)));
  const columns = [0, width - 1].map((x) => Array.from({ length: height }, (_, y) => level(x, y)));
  return Float64Array.from([...rows, ...columns].flat());
}

// The object of a photo, light on black or in its colours, as large as it will go, centred.
function cutOut(image, width, height, channels) {
  const { part, found } = closer(image);
  let { values, box } = valuesOf(shrunk(part, Math.max(R.SIDE, 5 * Math.max(height, width))), channels);
  const [left, top, right, bottom] = box;
  const scale = Math.min(height / (bottom - top), width / (right - left));
  const [x, across] = windowOf(left, right, width, scale);
  const [y, down] = windowOf(top, bottom, height, scale);
  const around = Math.ceil(Math.max(across, down));
  values = crop(values, -around, -around, values.width + around, values.height + around);
  const frame = [x + around, y + around, x + around + across, y + around + down];
  return { small: sharpen(resize(values, width, height, scale < 0.5 ? BOX : BICUBIC, frame), R.SHARPEN), found };
}

function windowOf(start, end, count, scale) {
  const pixels = round((end - start) * scale);
  const middle = Math.floor((count - pixels + 1) / 2) + pixels / 2;
  return [(start + end) / 2 - middle / scale, count / scale];
}

function shrunk(image, side) {
  const scale = side / Math.max(image.width, image.height);
  if (scale >= 1) return image;
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, round(length * scale)));
  return resize(image, width, height, BOX);
}

function closer(image) {
  const small = shrunk(image, R.SIDE);
  const { mask, distance } = objectOf(small);
  const [left, top, right, bottom] = boxOf(mask, small.width, small.height);
  const scale = Math.max(image.width, image.height) / Math.max(small.width, small.height);
  const margin = R.MARGIN * Math.max(right - left, bottom - top);
  const part = crop(
    image,
    Math.max(round((left - margin) * scale), 0),
    Math.max(round((top - margin) * scale), 0),
    Math.min(round((right + margin) * scale), image.width),
    Math.min(round((bottom + margin) * scale), image.height),
  );
  return { part, found: facts(mask, distance, small.width, small.height) };
}

function facts(mask, distance, width, height) {
  const edge = frame(width, height), inside = [...mask.keys()].filter((at) => mask[at] > 0.5);
  const border = edge.filter((at) => distance[at] > R.OBJECT).length / edge.length;
  if (!inside.length) return { contrast: 0, objects: 0, share: 0, border, negated: false };
  const [rows, columns] = [height, width].map((length) => Array.from({ length }, () => [])); // the places in each
  for (const at of inside) {
    const x = at % width, y = Math.floor(at / width);
    rows[y].push(x);
    columns[x].push(y);
  }
  const between = (places, at) => places[0] <= at && at <= places[places.length - 1];
  const enclosed = (at, x = at % width, y = Math.floor(at / width)) => between(rows[y], x) && between(columns[x], y);
  return {
    contrast: quantile(inside.map((at) => distance[at]), R.CONTRAST),
    objects: Math.max(...[rows, columns].map((lines) => parts(lines.map((places) => places.length)))),
    share: [...mask.keys()].filter((at) => enclosed(at)).length / mask.length,
    border,
    negated: false,
  };
}

// How many stretches hold a good part of all that is counted along one side, with gaps between them.
function parts(counts) {
  const gap = R.GAP * Math.max(...counts), sums = [0];
  for (const count of counts) count <= gap ? sums.push(count) : (sums[sums.length - 1] += count);
  return sums.filter((sum) => sum >= R.PART * Math.max(...sums)).length;
}

// Left, top, right and bottom of what belongs to the object; of everything where nothing does.
function boxOf(mask, width, height) {
  let left = width, top = height, right = 0, bottom = 0;
  mask.forEach((share, at) => {
    if (!(share > 0.5)) return;
    const x = at % width, y = Math.floor(at / width);
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  });
  return right ? [left, top, right, bottom] : [0, 0, width, height];
}

function valuesOf(image, channels) {
  const { width, height } = image;
  let { levels, mask, ground } = objectOf(image);
  const inside = mask.map((share) => share > 0.5);
  if (!inside.includes(1)) return { values: picture(width, height, channels), box: [0, 0, width, height] };
  if (channels === 3) {
    const colours = flatten(image, 255, 3).data.map((level, at) => Math.fround(level * mask[Math.floor(at / 3)]));
    return { values: picture(width, height, 3, colours), box: boxOf(mask, width, height) };
  }
  let negated = levels.map((level) => 255 - level);
  const mean = ground.reduce((sum, level) => sum + level, 0) / ground.length;
  if (mean < R.BLACK && alreadyNegated(levels, inside, width, height)) {
    const stretch = ground.map((level) => 255 / Math.max(255 - level, 1));
    negated = levels.map((level, at) => Math.fround(level - ground[at]) * stretch[at]);
  } else if (mean < R.DARK) {
    const whole = filled(inside, width, height);
    mask = mask.map((share, at) => Math.max(share, whole[at]));
    mask = eroded(mask, width, height, 2 * round(R.RIM * Math.max(width, height)) + 1);
  } else if (negated.every((level, at) => level * mask[at] < R.FAINT)) {
    negated = levels;
  }
  // Rounded to float32 before the fraction is cut off, as in Python.
  const product = negated.map((level, at) => Math.min(255, Math.max(0, Math.fround(level * mask[at]))));
  return { values: picture(width, height, 1, Uint8Array.from(product)), box: boxOf(mask, width, height) };
}

function alreadyNegated(levels, inside, width, height) {
  const whole = filled(inside, width, height);
  const [outer, middle, inner] = [3, 7, 11].map((size) => eroded(whole, width, height, size));
  const ring = outer.map((share, at) => share && !middle[at]);
  const core = inner.includes(1) ? inner : middle;
  return !core.includes(1) || meanWhere(levels, ring) < meanWhere(levels, core);
}

// The mean of no values is no number, which is less than nothing, as in Python.
function meanWhere(levels, mask) {
  let sum = 0, count = 0;
  mask.forEach((share, at) => {
    if (share) [sum, count] = [sum + levels[at], count + 1];
  });
  return sum / count;
}

// The mask with everything that the border cannot reach added to it.
function filled(mask, width, height) {
  const result = new Float32Array(mask.length).fill(1);
  const open = [];
  for (let x = 0; x < width; x++) open.push(x, (height - 1) * width + x);
  for (let y = 0; y < height; y++) open.push(y * width, (y + 1) * width - 1);
  while (open.length) {
    const at = open.pop(), x = at % width;
    if (mask[at] || !result[at]) continue;
    result[at] = 0;
    if (x > 0) open.push(at - 1);
    if (x < width - 1) open.push(at + 1);
    if (at >= width) open.push(at - width);
    if (at < mask.length - width) open.push(at + width);
  }
  return result;
}

function eroded(mask, width, height, size) {
  return filtered(mask, width, height, size, Math.min);
}

// The mask in bytes, with `size` pixels of nothing around it, filtered.
function filtered(mask, width, height, size, ...picks) {
  const bytes = picture(width, height, 1, Uint8Array.from(mask, (share) => Math.fround(share * 255)));
  const padded = crop(bytes, -size, -size, width + size, height + size);
  const result = picks.reduce((image, pick) => rank(image, size, pick), padded);
  return Float32Array.from(crop(result, size, size, width + size, height + size).data, (level) => level / 255);
}

// The grey levels, how much each pixel belongs to the object (0 to 1), and the background's grey levels.
function objectOf(image) {
  const { width, height, data } = image, count = width * height;
  const levels = Float32Array.from(flatten(image, 255, 1).data);
  const alpha = Float32Array.from({ length: count }, (_, at) => data[4 * at + 3] / 255);
  const transparent = alpha.reduce((sum, share) => sum + (share < 0.5), 0);
  if (transparent / count > R.TRANSPARENT)
    return { levels, mask: alpha, ground: new Float32Array(count).fill(255), distance: alpha.map((share) => 255 * share) };
  const colours = [0, 1, 2].map((c) =>
    Float32Array.from({ length: count }, (_, at) => blend(255, data[4 * at + c], data[4 * at + 3])));
  const grounds = backgrounds(colours, width, height);
  const distance = new Float32Array(count).map((_, at) =>
    Math.max(...colours.map((colour, c) => Math.abs(colour[at] - grounds[c][at]))));
  const contrast = quantile(distance, 0.98);
  const shares = isEven(distance, contrast, width, height) ? R.EVEN : R.UNEVEN;
  const low = Math.max(R.BACKGROUND, shares[0] * contrast), high = Math.max(R.OBJECT, shares[1] * contrast);
  const start = Math.fround(low), span = Math.fround(high - low);
  let mask = distance.map((value) => Math.min(1, Math.max(0, Math.fround(value - start) / span)));
  const size = 2 * Math.floor(Math.max(width, height) / 50) + 1;
  if (size > 1) mask = filtered(mask, width, height, size, Math.max, Math.min);
  const ground = grounds[0].map((red, at) => 0.299 * red + 0.587 * grounds[1][at] + 0.114 * grounds[2][at]);
  return { levels, mask, ground, distance };
}

function isEven(distance, contrast, width, height) {
  const limit = Math.max(R.BACKGROUND, R.OUTLINE * contrast), edge = Math.max(R.OBJECT, R.UNEVEN[1] * contrast);
  const weak = distance.map((value) => value > limit), strong = distance.map((value) => value > edge);
  const [left, top, right, bottom] = boxOf(strong, width, height);
  const pixel = Math.max(right - left, bottom - top) / 28;
  const core = eroded(weak, width, height, 3);
  const outline = weak.filter((share, at) => share && !core[at]).length;
  const fading = weak.filter((share, at) => share && distance[at] <= 2 * limit).length / Math.max(1, outline) / pixel;
  const border = frame(width, height);
  const rough = border.filter((at) => weak[at] && !strong[at]).length / border.length;
  return fading < R.FADING && rough < R.ROUGH;
}

// Which pixels lie on the border.
function frame(width, height) {
  const edge = Math.max(1, Math.floor(Math.min(width, height) / 50)), border = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (x < edge || x >= width - edge || y < edge || y >= height - edge) border.push(y * width + x);
  return border;
}

// The background's colours, three maps: planes through the border's pixels, outliers left out.
function backgrounds(colours, width, height) {
  const place = (at) => [1, across(at % width, width), across(Math.floor(at / width), height)];
  const border = frame(width, height), places = border.map(place);
  const pixels = colours.map((colour) => border.map((at) => colour[at]));
  let planes = pixels.map((levels) => [quantile(levels, 0.5), 0, 0]);
  for (let turn = 0; turn < 5; turn++) {
    const away = places.map((one, k) => Math.max(...planes.map((plane, c) => Math.abs(pixels[c][k] - dot(plane, one)))));
    const limit = Math.max(R.BACKGROUND, 2 * quantile(away, 0.5));
    const near = [...away.keys()].filter((k) => away[k] <= limit);
    if (near.length < 0.3 * away.length) break;
    planes = pixels.map((levels) => fitted(near.map((k) => places[k]), near.map((k) => levels[k])));
  }
  const all = Array.from({ length: width * height }, (_, at) => place(at));
  return planes.map((plane) => Float32Array.from(all, (one) => Math.min(255, Math.max(0, dot(plane, one)))));
}

const across = (at, length) => (length > 1 ? -1 + (2 * at) / (length - 1) : -1);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// The plane nearest to levels at places, by least squares: normal equations, and elimination.
function fitted(places, levels) {
  const rows = [0, 1, 2].map((i) => {
    const row = [0, 1, 2].map((j) => places.reduce((sum, one) => sum + one[i] * one[j], 0));
    row[i] += 1e-9 * places.length; // where the places lie on one line
    return [...row, places.reduce((sum, one, k) => sum + one[i] * levels[k], 0)];
  });
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++) {
      const factor = rows[j][i] / rows[i][i];
      if (j !== i) rows[j] = rows[j].map((value, k) => value - factor * rows[i][k]);
    }
  return rows.map((row, i) => row[3] / row[i]);
}

// Between the two nearest values in their order, as numpy has it.
function quantile(values, share) {
  const sorted = Float32Array.from(values).sort(), place = share * (sorted.length - 1), below = Math.floor(place);
  return sorted[below] + (place - below) * (sorted[Math.ceil(place)] - sorted[below]);
}
