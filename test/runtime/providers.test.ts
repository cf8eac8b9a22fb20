/** The provider table against a library that only writes down what it is asked. */
import { describe, expect, test } from "vitest";
import { DraftplanError } from "../../src/core/errors.js";
import { BoundInputs, Handles } from "../../src/runtime/bindings.js";
import { oneLineReason } from "../../src/runtime/one-line-reason.js";
import type { OrtApi } from "../../src/runtime/ort-api.js";
import {
  allProviders,
  appendProvider,
  chooseProvider,
  copiedInputs,
  dialectFor,
  explained,
  type LibraryFacts,
  refuseFallback,
  runsTrees,
} from "../../src/runtime/providers.js";
import { expectFailure, failureOf } from "../support/failure.js";

const GPU: LibraryFacts = {
  version: "1.30.0",
  available: [
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "WebGpuExecutionProvider",
    "QNNExecutionProvider",
    "CPUExecutionProvider",
  ],
  placement: true,
};
const CPU_ONLY: LibraryFacts = { ...GPU, available: ["CPUExecutionProvider"] };
const SESSION = 7n;

describe("choosing", () => {
  test.each(["cpu", "cuda", "tensorrt", "webgpu", "qnn"])("%s, where the library was built with it", (name) => {
    expect(chooseProvider(name, GPU).name).toBe(name);
  });

  test("the CPU needs nothing else of the library", () => {
    expect(chooseProvider("cpu", { ...CPU_ONLY, version: "1.22.0", placement: false }).append.how).toBe("built in");
  });

  test("a provider that the table knows and the library was built without is unavailable, never replaced", async () => {
    await expectFailure(() => chooseProvider("cuda", CPU_ONLY), "PROVIDER_UNAVAILABLE", /without it.*offers cpu/);
    expect((await failureOf(() => chooseProvider("cuda", CPU_ONLY))).remedy).toMatch(/--ort-library.*--provider cpu/);
  });

  test("a name that nobody knows is wrong usage, and the known ones are listed", async () => {
    await expectFailure(() => chooseProvider("tpu", GPU), "OPTION_INVALID", /'tpu'/);
    const { remedy } = await failureOf(() => chooseProvider("tpu", CPU_ONLY));
    expect(remedy).toBe("Use one of: cpu, cuda, tensorrt, webgpu.");
  });

  test("a library that does not say where operators run is trusted with the CPU alone", async () => {
    const old = { ...GPU, version: "1.23.2", placement: false };
    await expectFailure(() => chooseProvider("cuda", old), "PROVIDER_UNAVAILABLE", /1\.23\.2.*fall back/);
  });

  test("a provider of the library's that the table does not know keeps everything in host memory", () => {
    expect(chooseProvider("qnn", GPU)).toMatchObject({
      ortName: "QNNExecutionProvider",
      append: { how: "by name", as: "QNNExecutionProvider" },
      cache: { on: "host" },
      inputs: "as placed",
    });
  });

  test("each has its own form of the graph, and those the table does not know the CPU's", () => {
    const form = (name: string) => {
      const { float, product, activations, opset } = dialectFor(name);
      return { float, product, activations, opset };
    };
    const cpu = { float: "fp32", product: "FusedMatMul", activations: "int8", opset: 21 };
    const cuda = { float: "fp16", product: "FusedMatMul", activations: "float", opset: 19 };
    expect(form("cpu")).toEqual(cpu);
    expect(form("cuda")).toEqual(cuda);
    expect(form("tensorrt")).toEqual(cuda);
    expect(form("webgpu")).toEqual({ float: "fp32", product: "Gemm", activations: "float", opset: 19 });
    expect(form("qnn")).toEqual(cpu);
    for (const provider of allProviders(GPU.available)) expect(provider.dialect).toBe(dialectFor(provider.name));
  });

  test("the library's come first, in its order; then those it lacks; each once", () => {
    const names = (facts: LibraryFacts) => allProviders(facts.available).map(({ name }) => name);
    expect(names(GPU)).toEqual(["tensorrt", "cuda", "webgpu", "qnn", "cpu"]);
    expect(names(CPU_ONLY)).toEqual(["cpu", "cuda", "tensorrt", "webgpu"]);
  });
});

/** @param failing a function that reports an error */
function recorder(failing?: string) {
  const calls: unknown[][] = [];
  const call = (name: string, args: unknown[]) => {
    calls.push([name, ...args]);
    if (name !== failing) return;
    throw new DraftplanError({ code: "RUNTIME_FAILED", at: name, what: "Failed to load library x", remedy: "-" });
  };
  const api = {
    libraryPath: process.execPath, // a file with no CUDA provider beside it
    check: (name: string, ...args: unknown[]) => call(name, args),
    create(name: string, ...args: unknown[]) {
      call(name, args);
      return 42n;
    },
    release: (name: string, handle: bigint) => call(name, [handle]),
  } as unknown as OrtApi;
  return { api, calls };
}

describe("appending", () => {
  const RECORD = ["AddSessionConfigEntry", 5n, "session.record_ep_graph_assignment_info", "1"];

  test("the CPU asks nothing of the library", () => {
    const { api, calls } = recorder();
    appendProvider(api, 5n, chooseProvider("cpu", GPU));
    expect(calls).toEqual([]);
  });

  test("CUDA has an options object, released afterwards", () => {
    const { api, calls } = recorder();
    appendProvider(api, 5n, chooseProvider("cuda", GPU));
    expect(calls).toEqual([
      RECORD,
      ["CreateCUDAProviderOptions"],
      ["UpdateCUDAProviderOptions", 42n, ["device_id"], ["0"], 1],
      ["SessionOptionsAppendExecutionProvider_CUDA_V2", 5n, 42n],
      ["ReleaseCUDAProviderOptions", 42n],
    ]);
  });

  test("WebGPU is appended by its name", () => {
    const { api, calls } = recorder();
    appendProvider(api, 5n, chooseProvider("webgpu", GPU));
    expect(calls).toEqual([RECORD, ["SessionOptionsAppendExecutionProvider", 5n, "WebGPU", [], [], 0]]);
  });

  test.each([
    ["cuda", "UpdateCUDAProviderOptions"],
    ["cuda", "SessionOptionsAppendExecutionProvider_CUDA_V2"],
    ["tensorrt", "SessionOptionsAppendExecutionProvider_TensorRT_V2"],
  ])(
    "%s that fails in %s is unavailable, with the library's reason, and leaves no options object",
    async (name, at) => {
      const { api, calls } = recorder(at);
      await expectFailure(
        () => appendProvider(api, 5n, chooseProvider(name, GPU)),
        "PROVIDER_UNAVAILABLE",
        /library x/,
      );
      expect(calls.at(-1)?.[0]).toMatch(/^Release/);
    },
  );

  test("a failure of the CPU's own stays what it is", async () => {
    const failing = () => recorder("CreateSession").api.create("CreateSession");
    await expectFailure(() => explained(chooseProvider("cpu", GPU), failing), "RUNTIME_FAILED", "");
    await expectFailure(() => explained(chooseProvider("cuda", GPU), failing), "PROVIDER_UNAVAILABLE", "");
  });
});

describe("placement", () => {
  const placed = (
    assignments: { provider: string; operator: string; name: string }[],
    memory: [string, string][] = [],
  ) => ({
    placement: { assignments: () => assignments, inputMemory: () => new Map(memory) },
  });
  const onCpu = (operator: string, name = "0.attn/target/out") => ({
    provider: "CPUExecutionProvider",
    operator,
    name,
  });

  test("operators on the CPU beside another provider's are refused by name", async () => {
    const mixed = placed([
      { provider: "WebGpuExecutionProvider", operator: "If", name: "x" },
      ...["FusedMatMul", "Gather", "FusedMatMul"].map((operator) => onCpu(operator)),
    ]);
    await expectFailure(
      () => refuseFallback(mixed, SESSION, chooseProvider("webgpu", GPU)),
      "PROVIDER_UNAVAILABLE",
      /FusedMatMul \(2\), Gather \(1\)/,
    );
  });

  test("all on the provider is fine, and so is the CPU on the CPU", () => {
    const whole = placed([{ provider: "WebGpuExecutionProvider", operator: "If", name: "x" }]);
    expect(() => refuseFallback(whole, SESSION, chooseProvider("webgpu", GPU))).not.toThrow();
    expect(() => refuseFallback(placed([onCpu("If")]), SESSION, chooseProvider("cpu", GPU))).not.toThrow();
  });

  test("the nodes that keep inputs on the CPU are there on purpose: no fallback, and no cover for one", async () => {
    const kept = [onCpu("If", "host/nothing:If"), onCpu("Optional", "host/taken/something:Optional")];
    const cuda = chooseProvider("cuda", GPU);
    expect(() => refuseFallback(placed(kept), SESSION, cuda)).not.toThrow();
    const mixed = placed([...kept, onCpu("If", "0.attn.out:If")]);
    await expectFailure(() => refuseFallback(mixed, SESSION, cuda), "PROVIDER_UNAVAILABLE", /CPU: If \(1\)$/);
  });

  test("inputs that the session wants on the device are copied when they are bound; on the CPU none is", () => {
    const api = placed(
      [],
      [
        ["input_ids", "WebGPU_Buf"],
        ["use_hidden", "Cpu"],
      ],
    );
    expect([...copiedInputs(api, SESSION, chooseProvider("webgpu", GPU))]).toEqual(["input_ids"]);
    expect([...copiedInputs(api, SESSION, chooseProvider("cpu", GPU))]).toEqual([]);
  });

  test("a copied input is bound again when it changes, and no other", () => {
    const { api, calls } = recorder();
    const inputs = new BoundInputs(api, 9n, new Set(["flag", "length"]));
    inputs.bind("flag", 1n, "with the choices");
    inputs.bind("length", 2n, "every pass");
    inputs.bind("host", 3n, "every pass");
    calls.length = 0;
    inputs.refresh("every pass");
    expect(calls).toEqual([["BindInput", 9n, "length", 2n]]);
    inputs.refresh("with the choices");
    expect(calls).toEqual([
      ["BindInput", 9n, "length", 2n],
      ["BindInput", 9n, "flag", 1n],
    ]);
  });
});

describe("the library's reasons, as ONNX Runtime 1.30 words them", () => {
  test.each([
    [
      "/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n",
      "Failed to get a WebGPU adapter: No supported adapters",
    ],
    [
      "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /home/me/lib/libonnxruntime_providers_shared.so with error: /home/me/lib/libonnxruntime_providers_shared.so: cannot open shared object file: No such file or directory\n",
      "Failed to load library libonnxruntime_providers_shared.so: cannot open shared object file: No such file or directory",
    ],
    [
      "QNN execution provider is not supported in this build. ",
      "QNN execution provider is not supported in this build.",
    ],
    ["C:\\lib\\onnxruntime_providers_cuda.dll is missing", "onnxruntime_providers_cuda.dll is missing"],
  ])("%s", (message, expected) => {
    expect(oneLineReason(message)).toBe(expected);
  });
});

test.each([
  ["cpu", "1.22.0", true],
  ["cuda", "1.30.2", false],
  ["cuda", "1.31.0", true],
  ["cuda", "1.32.1", true],
  ["cuda", "2.0.0-dev", false],
  ["webgpu", "1.32.0", false],
  ["tensorrt", "1.32.0", false],
  ["qnn", "1.32.0", false],
])("trees on %s of ONNX Runtime %s: %s", (name, version, expected) => {
  const facts = { ...GPU, version };
  expect(runsTrees(chooseProvider(name, facts), facts)).toBe(expected);
});

test("a binding is released before what made the tensors that it holds", () => {
  const released: string[] = [];
  const handles = new Handles({ release: (name) => void released.push(name) } as Pick<OrtApi, "release"> as OrtApi);
  for (const name of ["ReleaseEnv", "ReleaseIoBinding", "ReleaseAllocator", "ReleaseValue"] as const)
    handles.own(name, 1n);
  handles.releaseAll();
  handles.releaseAll();
  expect(released).toEqual(["ReleaseIoBinding", "ReleaseValue", "ReleaseAllocator", "ReleaseEnv"]);
});
