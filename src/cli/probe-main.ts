/** The process that doctor starts for each thing it tries: one request as an argument, one answer on a pipe. */
import { writeFileSync } from "node:fs";
import { localProbes } from "../runtime/probe.js";
import { ANSWER_FD, type ProbeRequest } from "./probe-process.js";

const request = JSON.parse(process.argv[2]) as ProbeRequest;
const probes = localProbes(request.ortLibrary);

async function answer(): Promise<unknown> {
  switch (request.probe) {
    case "library":
      return probes.library();
    case "provider":
      return probes.provider(request.name);
    case "cuda":
      return probes.cuda();
    case "bandwidth":
      return probes.bandwidth(request.request);
  }
}

writeFileSync(ANSWER_FD, JSON.stringify(await answer()));
