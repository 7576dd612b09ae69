// What the recipe needs of Pillow, with its rounding: resampling in fixed point, blending, filters. Knows no page.
// A picture is { width, height, channels, data }, a byte a channel, row by row; colours are RGBA, not premultiplied.

const PRECISION = 22; // bits behind the point of a resampling weight

export function picture(width, height, channels, data = new Uint8Array(width * height * channels)) {
  return { width, height, channels, data };
}

// Python's round(): a half goes to the even neighbour.
export function round(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

// (255 - alpha) parts of one level and alpha parts of another.
export function blend(below, level, alpha) {
  const sum = below * (255 - alpha) + level * alpha + 128;
  return ((sum >> 8) + sum) >> 8;
}

// In grey or in colour, its transparent parts filled with one level.
export function flatten({ width, height, data }, background, channels) {
  const flat = picture(width, height, channels);
  for (let at = 0, from = 0; at < flat.data.length; at += channels, from += 4) {
    const grey = (19595 * data[from] + 38470 * data[from + 1] + 7471 * data[from + 2] + 0x8000) >> 16;
    for (let c = 0; c < channels; c++)
      flat.data[at + c] = blend(background, channels === 1 ? grey : data[from + c], data[from + 3]);
  }
  return flat;
}

// Part of a picture; what lies outside of it is 0.
export function crop(image, left, top, right, bottom) {
  const { width, height, channels, data } = image;
  const part = picture(right - left, bottom - top, channels);
  const start = Math.max(left, 0), end = Math.min(right, width);
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++) {
    const row = data.subarray((y * width + start) * channels, (y * width + end) * channels);
    part.data.set(row, ((y - top) * part.width + start - left) * channels);
  }
  return part;
}

// Colours count as much as they are opaque, so both ways of shrinking work on premultiplied ones.
function premultiplied(image) {
  const data = Uint8Array.from(image.data);
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3];
    if (alpha < 255) for (let c = at; c < at + 3; c++) data[c] = blend(0, data[c], alpha);
  }
  return { ...image, data };
}

function unpremultiplied(image) {
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3];
    if (alpha && alpha < 255) for (let c = at; c < at + 3; c++) data[c] = Math.min(255, Math.trunc(255 * data[c] / alpha));
  }
  return image;
}

// Image.reduce: the mean of squares of whole pixels; those at the right and lower edge may be smaller.
export function reduce(image, factor) {
  if (factor === 1) return image;
  const { width, height, data } = premultiplied(image);
  const small = picture(Math.ceil(width / factor), Math.ceil(height / factor), 4);
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      const sums = [0, 0, 0, 0];
      const right = Math.min(width, (x + 1) * factor), bottom = Math.min(height, (y + 1) * factor);
      for (let v = y * factor; v < bottom; v++)
        for (let u = x * factor; u < right; u++)
          for (let c = 0; c < 4; c++) sums[c] += data[(v * width + u) * 4 + c];
      const count = (right - x * factor) * (bottom - y * factor), part = Math.floor(2 ** 24 / count);
      for (let c = 0; c < 4; c++)
        small.data[(y * small.width + x) * 4 + c] = ((sums[c] + (count >> 1)) * part) / 2 ** 24;
    }
  }
  return unpremultiplied(small);
}

export const BOX = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
export const BICUBIC = {
  support: 2,
  weight(x) {
    const a = -0.5, d = Math.abs(x);
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
  },
};
export const LANCZOS = {
  support: 3,
  weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0),
};

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

// Image.resize: across, then down, each rounded to bytes.
export function resize(image, width, height, filter, [left, top, right, bottom] = [0, 0, image.width, image.height]) {
  const colours = image.channels === 4;
  const across = resample(colours ? premultiplied(image) : image, weights(image.width, left, right, width, filter), true);
  const result = resample(across, weights(image.height, top, bottom, height, filter), false);
  return colours ? unpremultiplied(result) : result;
}

function weights(size, start, end, count, filter) {
  [start, end] = [Math.fround(start), Math.fround(end)]; // a box is of float32
  const scale = Math.fround(end - start) / count, stretch = Math.max(scale, 1), reach = filter.support * stretch;
  return Array.from({ length: count }, (_, k) => {
    const centre = start + (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(size, Math.trunc(centre + reach + 0.5));
    const values = [];
    for (let x = first; x < last; x++) values.push(filter.weight((x - centre + 0.5) * (1 / stretch)));
    const total = values.reduce((sum, value) => sum + value, 0);
    return [first, Int32Array.from(values, (value) => (value / total) * 2 ** PRECISION + 0.5 * Math.sign(value))];
  });
}

function resample({ width, height, channels, data }, table, across) {
  const result = picture(across ? table.length : width, across ? height : table.length, channels);
  const row = width * channels, [lines, bytes] = across ? [height, channels] : [1, row];
  let to = 0;
  for (let y = 0; y < lines; y++)
    for (const [first, values] of table)
      for (let j = 0; j < bytes; j++) {
        let sum = 1 << (PRECISION - 1), at = y * row + first * bytes + j;
        for (let n = 0; n < values.length; n++, at += bytes) sum = (sum + values[n] * data[at]) | 0;
        result.data[to++] = Math.min(255, Math.max(0, sum >> PRECISION));
      }
  return result;
}

// MinFilter and MaxFilter on grey: the edge goes on beyond the picture. `pick` is Math.min or Math.max.
export function rank(image, size, pick) {
  const half = (size - 1) / 2;
  return [1, image.width].reduce((from, step) => {
    const result = picture(image.width, image.height, 1);
    const length = step === 1 ? image.width : image.height;
    for (let at = 0; at < result.data.length; at++) {
      const place = step === 1 ? at % image.width : Math.floor(at / image.width);
      let best = from.data[at];
      for (let k = Math.max(0, place - half); k <= Math.min(length - 1, place + half); k++)
        best = pick(best, from.data[at + (k - place) * step]);
      result.data[at] = best;
    }
    return result;
  }, image);
}

// UnsharpMask(radius 1): what is blurred away is added again, so many percent of it.
export function sharpen(image, percent) {
  const blurred = blur(image);
  const data = image.data.map((level, at) => {
    const more = Math.trunc(((level - blurred.data[at]) * percent) / 100);
    return Math.min(255, Math.max(0, level + more));
  });
  return { ...image, data };
}

// GaussianBlur(1) is three blurs by a box of 1.5 pixels: a sixth of each neighbour, two thirds of the pixel itself.
function blur(image) {
  const SIDE = 2796202, MIDDLE = 11184811; // of 2 ** 24, as Pillow rounds them
  const { width, height, channels } = image, row = width * channels;
  return [channels, channels, channels, row, row, row].reduce((from, step) => {
    const result = picture(width, height, channels);
    const length = step === channels ? width : height;
    for (let at = 0; at < result.data.length; at++) {
      const place = step === channels ? Math.floor(at / channels) % width : Math.floor(at / row);
      const before = from.data[place ? at - step : at], after = from.data[place < length - 1 ? at + step : at];
      result.data[at] = (MIDDLE * from.data[at] + SIDE * (before + after) + 2 ** 23) / 2 ** 24;
    }
    return result;
  }, image);
}
