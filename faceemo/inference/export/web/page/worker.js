// The worker: loads runtime, detector and network, and answers the page, which stays responsive.
//
// It takes { id, kind: "photo", blob } and { id, kind: "frame", bitmap }, and returns { id, width,
// height, upright, faces } or { id, problem }; { progress } and { ready } tell how far it is.

import * as ort from "./runtime/ort.js";
import { Detector } from "./detector.js";
import { findFaces } from "./faces.js";
import { decodePhoto, takePixels } from "./image.js";
import { describeFace, Network } from "./network.js";

const MAX_BATCH = 32; // faces at a time
let model = null; // the promise of { about, detector, network }

// The content of a file of this site; those that end in .bin are compressed by gzip.
async function load(name, onBytes) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing on this site (${response.status}).`);
  const counted = response.body.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        onBytes(chunk.byteLength);
        controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function loadModel() {
  const response = await fetch(new URL("model.json", import.meta.url));
  if (!response.ok) throw new Error(`model.json is missing on this site (${response.status}).`);
  const about = await response.json();
  const names = Object.keys(about.files);
  const total = Object.values(about.files).reduce((sum, { bytes }) => sum + bytes, 0);
  let loaded = 0;
  const onBytes = (count) => {
    loaded += count;
    postMessage({ progress: { loaded: Math.min(loaded, total), total } });
  };
  const contents = await Promise.all(names.map((name) => load(name, onBytes)));
  const [runtime, detector, network] = ["runtime/runtime.bin", "detector.bin", "network.bin"].map(
    (name) => contents[names.indexOf(name)],
  );
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.wasmPaths = { mjs: new URL("runtime/loader.js", import.meta.url).href };
  // Threads need a server that isolates the page from others; few servers do.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3 };
  // one after the other: onnxruntime starts once
  const finder = await start(detector, options);
  const classifier = await start(network, options);
  return { about, detector: new Detector(ort, finder, about), network: new Network(ort, classifier, about) };
}

async function start(content, options) {
  try {
    return await ort.InferenceSession.create(content, options);
  } catch (error) {
    // onnxruntime throws plain numbers where memory is short or a file is not one that it knows
    throw new Error(`onnxruntime cannot start it (${error.message || error}).`, { cause: error });
  }
}

async function predict(picture, options) {
  const { about, detector, network } = await model;
  const faces = await findFaces(detector, picture, about, options);
  const answers = [];
  for (let start = 0; start < faces.length; start += MAX_BATCH) {
    const batch = faces.slice(start, start + MAX_BATCH);
    answers.push(...(await network.predict(batch.map(({ crop }) => crop))));
  }
  return {
    width: picture.width,
    height: picture.height,
    upright: picture.upright ?? null,
    faces: faces.map((face, index) => describeFace(face, answers[index], about)),
  };
}

async function answer({ id, kind, blob, bitmap }) {
  const onProgress = (text) => postMessage({ id, step: text });
  try {
    if (kind === "frame") {
      const picture = takePixels(bitmap);
      bitmap.close();
      return { id, ...(await predict(picture, { quick: true })) };
    }
    return { id, ...(await predict(await decodePhoto(blob), { onProgress })) };
  } catch (error) {
    return { id, problem: error.message || String(error) };
  }
}

let queue = Promise.resolve(); // one picture after the other
self.onmessage = ({ data }) => {
  queue = queue.then(async () => postMessage(await answer(data)));
};
model = loadModel();
model.then(
  ({ about }) => postMessage({ ready: about }),
  (error) => postMessage({ broken: error.message || String(error) }),
);
