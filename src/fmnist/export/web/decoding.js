// A picture to pixels, the right way up and reduced by a whole factor, as fmnist.images.decode has them.

import { picture, reduce } from "./pillow.js";

const STRIP = 2 ** 22; // pixels read at a time: some phones bound a canvas to 16 million

// source: a file or a canvas. Pictures whose longest side is above `keepBelow` end at this size or just above.
export async function decode(source, keepBelow) {
  // The levels that stand in the file: Python follows no colour profile either.
  const bitmap = await createImageBitmap(source, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const factor = Math.max(1, Math.floor(Math.max(width, height) / keepBelow));
  const result = picture(Math.ceil(width / factor), Math.ceil(height / factor), 4);
  const rows = factor * Math.max(1, Math.floor(STRIP / width / factor));
  const context = new OffscreenCanvas(width, Math.min(rows, height)).getContext("2d", { willReadFrequently: true });
  for (let top = 0, at = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, count);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const strip = reduce(picture(width, count, 4, context.getImageData(0, 0, width, count).data), factor);
    result.data.set(strip.data, at);
    at += strip.data.length;
  }
  bitmap.close();
  return result;
}
