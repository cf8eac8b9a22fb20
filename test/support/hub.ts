/**
 * A Hugging Face hub of the tests' own, on the loopback address: the repository's commit and files, and files as the hub
 * serves them. Small ones come from itself with git's digest as ETag, weights by way of another path that asks for no
 * token, with their SHA-256, in ranges.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export interface HubBehaviour {
  repository: string;
  /** name -> bytes */
  files: Map<string, Buffer>;
  /** wanted as a bearer's token; null: none is */
  token?: string | null;
  /** status and X-Error-Code of every answer */
  refuse?: { status: number; code?: string } | null;
  /** connections that break after so many bytes of weights, one after the other */
  breakAfter?: number[];
  /** after that the rest of a file never comes */
  stallAfter?: number | null;
  /** a byte of the weights is another one */
  corrupt?: boolean;
  knowsHead?: boolean;
  knowsRanges?: boolean;
  /** the hub itself says size and digest of what lies elsewhere; false: only whoever has it does */
  saysLinked?: boolean;
  /** what is said of the repository, in place of commit and files */
  says?: string;
}

export interface TestHub extends HubBehaviour {
  endpoint: string;
  /** method, path and range of every request, in order */
  asked: string[];
  /** paths that a token came with */
  withToken: string[];
  close(): Promise<void>;
}

export const filesOf = (folder: string): Map<string, Buffer> =>
  new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));

const isLarge = (name: string) => name.endsWith(".safetensors");
export const etagOf = (name: string, bytes: Buffer): string =>
  isLarge(name)
    ? createHash("sha256").update(bytes).digest("hex")
    : createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

export async function startHub(behaviour: HubBehaviour): Promise<TestHub> {
  const store = createServer((request, response) => answer(hub, request, response, true));
  const server = createServer((request, response) => answer(hub, request, response, false));
  const [elsewhere, endpoint] = await Promise.all([listen(store), listen(server)]);
  const hub: TestHub & { elsewhere: string } = {
    ...behaviour,
    ...{ elsewhere, endpoint, asked: [], withToken: [] },
    async close() {
      for (const each of [store, server]) {
        each.closeAllConnections();
        await new Promise((resolve) => each.close(resolve));
      }
    },
  };
  return hub;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function answer(
  hub: TestHub & { elsewhere: string },
  request: IncomingMessage,
  response: ServerResponse,
  stored: boolean,
) {
  const path = decodeURIComponent(request.url ?? "");
  hub.asked.push(`${request.method} ${path}${request.headers.range ? ` ${request.headers.range}` : ""}`);
  if (request.headers.authorization !== undefined) hub.withToken.push(path);
  const refuse = (status: number, code?: string) =>
    response.writeHead(status, code ? { "x-error-code": code } : {}).end();
  if (hub.knowsHead === false && request.method === "HEAD") return refuse(501);
  if (hub.refuse) return refuse(hub.refuse.status, hub.refuse.code);
  if (!stored && hub.token && request.headers.authorization !== `Bearer ${hub.token}`) return refuse(401, "GatedRepo");
  const name = path.split("/").at(-1) ?? "";
  if (path.startsWith(`/api/models/${hub.repository}/revision/`)) {
    if (!["main", "v1", "refs/pr/1", COMMIT].some((known) => path.endsWith(`/revision/${known}`)))
      return refuse(404, "RevisionNotFound");
    if (hub.says !== undefined) return response.end(hub.says);
    const siblings = [...hub.files.keys()].map((rfilename) => ({ rfilename }));
    return response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ sha: COMMIT, siblings }));
  }
  const bytes = hub.files.get(name);
  if (bytes === undefined) return refuse(404, "RepoNotFound");
  if (stored) return send(hub, request, response, bytes);
  if (!path.startsWith(`/${hub.repository}/resolve/`)) return refuse(404, "RepoNotFound");
  response.setHeader("x-repo-commit", COMMIT);
  const etag = `"${etagOf(name, bytes)}"`;
  if (isLarge(name))
    return response
      .writeHead(302, {
        location: `${hub.elsewhere}/${name}`,
        ...(hub.saysLinked === false ? {} : { "x-linked-etag": etag, "x-linked-size": bytes.length }),
      })
      .end();
  response.writeHead(200, { etag: `W/${etag}`, "content-length": bytes.length });
  return response.end(request.method === "HEAD" ? undefined : bytes);
}

function send(hub: TestHub, request: IncomingMessage, response: ServerResponse, whole: Buffer) {
  const range = hub.knowsRanges === false ? "" : (request.headers.range ?? "");
  const from = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
  const bytes = Buffer.from(whole.subarray(from));
  if (hub.corrupt && from === 0) bytes[bytes.length - 1] ^= 1;
  response.writeHead(from > 0 ? 206 : 200, {
    "content-length": bytes.length,
    ...(hub.saysLinked === false ? { etag: etagOf("x.safetensors", whole) } : {}),
    ...(from > 0 ? { "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}` } : {}),
  });
  if (request.method === "HEAD") return response.end();
  const broken = hub.breakAfter?.shift();
  if (broken !== undefined)
    return response.write(bytes.subarray(0, broken), () => setTimeout(() => response.destroy(), 20));
  if (hub.stallAfter) return response.write(bytes.subarray(0, hub.stallAfter));
  return response.end(bytes);
}
