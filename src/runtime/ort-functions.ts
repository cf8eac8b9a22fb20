/**
 * The functions of ONNX Runtime's C API that draftplan calls: where each stands in the table of function pointers, and
 * its C signature. The order never changes (onnxruntime_c_api.h: functions are only added at the end), so a position
 * and a signature are all that is needed. `void *` stands for every opaque handle.
 */

/** What is asked for. Every later library still answers it; one that does not is too old. */
export const API_VERSION = 22;

/** Those of API 22: name -> [position in OrtApi, C signature]. */
export const FUNCTIONS = {
  GetErrorCode: [1, "int GetErrorCode(void *status)"],
  GetErrorMessage: [2, "const char *GetErrorMessage(void *status)"],
  CreateEnv: [3, "void *CreateEnv(int level, const char *logid, _Out_ void **env)"],
  DisableTelemetryEvents: [6, "void *DisableTelemetryEvents(const void *env)"],
  CreateSession: [7, "void *CreateSession(void *env, const void *path, void *options, _Out_ void **session)"],
  CreateSessionFromArray: [
    8,
    "void *CreateSessionFromArray(void *env, const void *model, size_t bytes, void *options, _Out_ void **session)",
  ],
  CreateSessionOptions: [10, "void *CreateSessionOptions(_Out_ void **options)"],
  EnableProfiling: [14, "void *EnableProfiling(void *options, const void *filePrefix)"],
  SetSessionGraphOptimizationLevel: [23, "void *SetSessionGraphOptimizationLevel(void *options, int level)"],
  SetIntraOpNumThreads: [24, "void *SetIntraOpNumThreads(void *options, int threads)"],
  SetInterOpNumThreads: [25, "void *SetInterOpNumThreads(void *options, int threads)"],
  SessionGetInputCount: [30, "void *SessionGetInputCount(void *session, _Out_ size_t *count)"],
  SessionGetInputName: [
    36,
    "void *SessionGetInputName(void *session, size_t index, void *allocator, _Out_ void **name)",
  ],
  CreateRunOptions: [39, "void *CreateRunOptions(_Out_ void **options)"],
  CreateTensorAsOrtValue: [
    48,
    "void *CreateTensorAsOrtValue(void *allocator, const int64_t *shape, size_t rank, int type, _Out_ void **value)",
  ],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void *CreateTensorWithDataAsOrtValue(void *info, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, _Out_ void **value)",
  ],
  GetTensorMutableData: [51, "void *GetTensorMutableData(void *value, _Out_ void **data)"],
  CreateMemoryInfo: [
    68,
    "void *CreateMemoryInfo(const char *name, int allocatorType, int deviceId, int memoryType, _Out_ void **info)",
  ],
  MemoryInfoGetName: [71, "void *MemoryInfoGetName(void *info, _Out_ const char **name)"],
  AllocatorFree: [76, "void *AllocatorFree(void *allocator, void *memory)"],
  GetAllocatorWithDefaultOptions: [78, "void *GetAllocatorWithDefaultOptions(_Out_ void **allocator)"],
  ReleaseEnv: [92, "void ReleaseEnv(void *env)"],
  ReleaseStatus: [93, "void ReleaseStatus(void *status)"],
  ReleaseMemoryInfo: [94, "void ReleaseMemoryInfo(void *info)"],
  ReleaseSession: [95, "void ReleaseSession(void *session)"],
  ReleaseValue: [96, "void ReleaseValue(void *value)"],
  ReleaseRunOptions: [97, "void ReleaseRunOptions(void *options)"],
  ReleaseSessionOptions: [100, "void ReleaseSessionOptions(void *options)"],
  SessionEndProfiling: [110, "void *SessionEndProfiling(void *session, void *allocator, _Out_ void **fileName)"],
  GetAvailableProviders: [125, "void *GetAvailableProviders(_Out_ void **names, _Out_ int *count)"],
  ReleaseAvailableProviders: [126, "void *ReleaseAvailableProviders(void *names, int count)"],
  AddSessionConfigEntry: [130, "void *AddSessionConfigEntry(void *options, const char *key, const char *value)"],
  CreateAllocator: [131, "void *CreateAllocator(void *session, void *info, _Out_ void **allocator)"],
  ReleaseAllocator: [132, "void ReleaseAllocator(void *allocator)"],
  CreateEnvWithGlobalThreadPools: [
    119,
    "void *CreateEnvWithGlobalThreadPools(int level, const char *logid, const void *threading, _Out_ void **env)",
  ],
  DisablePerSessionThreads: [120, "void *DisablePerSessionThreads(void *options)"],
  CreateThreadingOptions: [121, "void *CreateThreadingOptions(_Out_ void **options)"],
  ReleaseThreadingOptions: [122, "void ReleaseThreadingOptions(void *options)"],
  SetGlobalIntraOpNumThreads: [147, "void *SetGlobalIntraOpNumThreads(void *options, int threads)"],
  SetGlobalInterOpNumThreads: [148, "void *SetGlobalInterOpNumThreads(void *options, int threads)"],
  RunWithBinding: [133, "void *RunWithBinding(void *session, void *options, void *binding)"],
  CreateIoBinding: [134, "void *CreateIoBinding(void *session, _Out_ void **binding)"],
  ReleaseIoBinding: [135, "void ReleaseIoBinding(void *binding)"],
  BindInput: [136, "void *BindInput(void *binding, const char *name, void *value)"],
  AddInitializer: [150, "void *AddInitializer(void *options, const char *name, const void *value)"],
  CreatePrepackedWeightsContainer: [166, "void *CreatePrepackedWeightsContainer(_Out_ void **container)"],
  ReleasePrepackedWeightsContainer: [167, "void ReleasePrepackedWeightsContainer(void *container)"],
  CreateSessionFromArrayWithPrepackedWeightsContainer: [
    169,
    "void *CreateSessionFromArrayWithPrepackedWeightsContainer(void *env, const void *model, size_t bytes, void *options, void *container, _Out_ void **session)",
  ],
  AddRunConfigEntry: [165, "void *AddRunConfigEntry(void *options, const char *key, const char *value)"],
  SynchronizeBoundOutputs: [203, "void *SynchronizeBoundOutputs(void *binding)"],
  BindOutput: [137, "void *BindOutput(void *binding, const char *name, void *value)"],
  SessionOptionsAppendExecutionProvider_TensorRT_V2: [
    170,
    "void *SessionOptionsAppendExecutionProvider_TensorRT_V2(void *options, void *provider)",
  ],
  CreateTensorRTProviderOptions: [171, "void *CreateTensorRTProviderOptions(_Out_ void **provider)"],
  UpdateTensorRTProviderOptions: [
    172,
    "void *UpdateTensorRTProviderOptions(void *provider, const char **keys, const char **values, size_t count)",
  ],
  ReleaseTensorRTProviderOptions: [174, "void ReleaseTensorRTProviderOptions(void *provider)"],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [
    204,
    "void *SessionOptionsAppendExecutionProvider_CUDA_V2(void *options, void *provider)",
  ],
  CreateCUDAProviderOptions: [205, "void *CreateCUDAProviderOptions(_Out_ void **provider)"],
  UpdateCUDAProviderOptions: [
    206,
    "void *UpdateCUDAProviderOptions(void *provider, const char **keys, const char **values, size_t count)",
  ],
  ReleaseCUDAProviderOptions: [208, "void ReleaseCUDAProviderOptions(void *provider)"],
  SessionOptionsAppendExecutionProvider: [
    216,
    "void *SessionOptionsAppendExecutionProvider(void *options, const char *name, const char **keys, const char **values, size_t count)",
  ],
} as const satisfies Record<string, readonly [number, string]>;

export type FunctionName = keyof typeof FUNCTIONS;

/** From 1.24 on a library says where a session's inputs are wanted, and which provider runs which operator. */
export const PLACEMENT_SINCE_MINOR = 24;

export const PLACEMENT_FUNCTIONS = {
  SessionGetMemoryInfoForInputs: [
    380,
    "void *SessionGetMemoryInfoForInputs(void *session, _Out_ void **infos, size_t count)",
  ],
  Session_GetEpGraphAssignmentInfo: [
    407,
    "void *Session_GetEpGraphAssignmentInfo(void *session, _Out_ void **subgraphs, _Out_ size_t *count)",
  ],
  EpAssignedSubgraph_GetEpName: [408, "void *EpAssignedSubgraph_GetEpName(void *subgraph, _Out_ const char **name)"],
  EpAssignedSubgraph_GetNodes: [
    409,
    "void *EpAssignedSubgraph_GetNodes(void *subgraph, _Out_ void **nodes, _Out_ size_t *count)",
  ],
  EpAssignedNode_GetName: [410, "void *EpAssignedNode_GetName(void *node, _Out_ const char **name)"],
  EpAssignedNode_GetOperatorType: [412, "void *EpAssignedNode_GetOperatorType(void *node, _Out_ const char **type)"],
} as const satisfies Record<string, readonly [number, string]>;

/** A native address. */
export type Pointer = bigint;

/** What those functions tell. */
export interface Placement {
  /** input -> name of the memory that the session wants it in: `Cpu`, `Cuda`, … */
  inputMemory(session: Pointer): Map<string, string>;
  /** nodes of the graph and of every graph nested in it, so far as the library recorded them */
  assignments(session: Pointer): Assignment[];
}

export interface Assignment {
  provider: string;
  operator: string;
  /** of the node */
  name: string;
}
