// How unfamiliar a picture is, as fmnist.evaluation.novelty works it out. Knows no page.

// What a look makes of a picture, for each pixel.
const MAPS = {
  plain: (levels) => levels,
  levels: (levels) => levels,
  squares: (levels) => Float64Array.from(levels, (level) => (level * level) / 255),
  across: (levels, width) =>
    Float64Array.from(levels, (level, at) => Math.abs(((at + 1) % width ? levels[at + 1] : 0) - level)),
  down: (levels, width) => Float64Array.from(levels, (level, at) => Math.abs((levels[at + width] ?? 0) - level)),
};

// levels: a byte each, row by row, of a pixel one or three; facts: what the model's file says of its training pictures.
export function unfamiliarity(levels, [height, width, channels = 1], facts) {
  const grey = Float64Array.from({ length: height * width }, (_, at) =>
    levels.subarray(at * channels, (at + 1) * channels).reduce((sum, level) => sum + level) / channels);
  const looks = facts.looks ?? [["plain", facts.cells]]; // files of earlier versions
  const seen = looks.flatMap(([name, count]) => {
    const means = cellsOf(MAPS[name](grey, width), height, width, count);
    return [...(name === "plain" ? means : means.map((mean) => Math.sqrt(255 * mean)))];
  });
  const size = seen.length;
  const means = numbers(facts.means), triangles = numbers(facts.whitening), step = (size * (size + 1)) / 2;
  let nearest = Infinity;
  for (let k = 0; k < facts.classes; k++) {
    const away = new Float64Array(size);
    let distance = 0;
    for (let row = 0, at = k * step; row < size; row++)
      for (let column = 0; column <= row; column++, at++) {
        away[column] += (seen[row] - means[k * size + row]) * triangles[at];
        if (row === column) distance -= 2 * Math.log(Math.abs(triangles[at]));
      }
    nearest = Math.min(nearest, away.reduce((sum, value) => sum + value * value, distance));
  }
  return (nearest - facts.typical) / (facts.limit - facts.typical);
}

// The mean grey levels of count × count cells; a pixel that two share counts in each by its part.
function cellsOf(levels, height, width, count) {
  const down = shares(height, count), across = shares(width, count), means = new Float64Array(count * count);
  levels.forEach((level, at) => {
    const y = Math.floor(at / width), x = at % width;
    for (let i = 0; i < count; i++)
      if (down[i][y]) for (let j = 0; j < count; j++) means[i * count + j] += down[i][y] * across[j][x] * level;
  });
  return means;
}

function shares(side, count) {
  const part = (cell, pixel) =>
    Math.min(((cell + 1) * side) / count, pixel + 1) - Math.max((cell * side) / count, pixel);
  return Array.from({ length: count }, (_, cell) =>
    Array.from({ length: side }, (_, pixel) => (Math.max(0, part(cell, pixel)) * count) / side));
}

// Numbers of 16 bits, little-endian, as base64.
function numbers(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 2 }, (_, k) => {
    const bits = view.getUint16(2 * k, true), exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
    const size = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
    return bits >> 15 ? -size : size;
  });
}
