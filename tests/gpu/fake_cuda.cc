// CUDA, cuDNN, cuBLAS, NVRTC and NCCL without a GPU, for libmxnet.so of mxnet-cu117.
//
// Memory and copies are real and lie in host memory. Kernels do nothing: they are counted by name. So a
// run shows exceptions, missing kernels, types and devices of copies, and what a step launches, but no
// numbers and no times. tests/gpu/run.sh makes a stub that returns 0 of each function that is not here.

#include <cxxabi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

const int kComputeCapability = 70, kDriver = 11080;
const size_t kMemory = size_t(16) << 30;
const size_t kFilled = size_t(1) << 24;  // of each allocation; the rest takes no memory until something is copied there

std::mutex mutex;
thread_local int current_device = 0;
int handle;  // what all opaque handles point to

// Never destroyed, because the library is still called while the process ends.
std::map<std::string, long>& counts() {
  static auto* map = new std::map<std::string, long>();
  return *map;
}

std::map<const void*, std::string>& kernels() {
  static auto* map = new std::map<const void*, std::string>();
  return *map;
}

std::map<void*, size_t>& allocations() {
  static auto* map = new std::map<void*, size_t>();
  return *map;
}

size_t used = 0, most_used = 0;

std::string readable(const char* mangled) {
  int status = 0;
  char* name = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string result = status == 0 ? name : mangled;
  std::free(name);
  return result;
}

// The numbers of the devices that this process sees.
std::vector<int> visible() {
  const char* value = std::getenv("FAKE_CUDA_DEVICES");
  const int count = value ? std::atoi(value) : 1;
  std::vector<int> result;
  if (const char* chosen = std::getenv("CUDA_VISIBLE_DEVICES")) {
    std::stringstream words(chosen);
    for (std::string word; std::getline(words, word, ',') && std::atoi(word.c_str()) < count;) {
      result.push_back(std::atoi(word.c_str()));
    }
  } else {
    for (int device = 0; device < count; ++device) result.push_back(device);
  }
  return result;
}

int devices() { return visible().size(); }

// Append "PROCESS DEVICE" to the file FAKE_CUDA_LOG when a process first allocates memory of a device.
void log_use(int device) {
  static std::set<int> logged;
  const char* path = std::getenv("FAKE_CUDA_LOG");
  if (path && logged.insert(device).second) {
    std::ofstream(path, std::ios::app) << std::to_string(getpid()) + " " + std::to_string(visible()[device]) + "\n";
  }
}

template <typename T>
int set(T* target, T value) {
  *target = value;
  return 0;
}

int new_handle(void** target) { return set(target, static_cast<void*>(&handle)); }

struct Descriptor {
  int groups = 1, height = 0, width = 0;
};

struct Algorithm {  // cudnnConvolution…AlgoPerf_t
  int algorithm, status;
  float time;
  size_t memory;
  int determinism, math_type, reserved[3];
};

struct DeviceProperties {  // the beginning of cudaDeviceProp
  char name[256], uuid[16], luid[8];
  unsigned luid_mask;
  size_t memory, shared_memory;
  int registers, warp_size;
  size_t pitch;
  int threads, threads_by_axis[3], grid[3], clock;
  size_t constant_memory;
  int major, minor;
};

struct FunctionAttributes {  // the beginning of cudaFuncAttributes
  size_t shared, constant, local;
  int threads, registers, ptx_version, binary_version;
};

}  // namespace

extern "C" {

// ---------------------------------------------------------------- counts

void fake_cuda_note(const char* name) {
  std::lock_guard<std::mutex> guard(mutex);
  ++counts()[name];
}

void fake_cuda_reset() {
  std::lock_guard<std::mutex> guard(mutex);
  counts().clear();
}

// The names with their counts as lines "count name". The text is valid until the next call.
const char* fake_cuda_counts() {
  static std::string text;
  std::lock_guard<std::mutex> guard(mutex);
  text.clear();
  for (const auto& entry : counts()) text += std::to_string(entry.second) + " " + entry.first + "\n";
  return text.c_str();
}

// The largest number of bytes that was allocated at a time on all devices together.
size_t fake_cuda_most_used() {
  std::lock_guard<std::mutex> guard(mutex);
  return most_used;
}

// ---------------------------------------------------------------- runtime: kernels

void** __cudaRegisterFatBinary(void*) {
  static void* binary = &handle;
  return &binary;
}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, void*, void*, void*, void*,
                            int*) {
  kernels()[function] = name;
}
int cudaLaunchKernel(const void* function) {
  auto kernel = kernels().find(function);
  fake_cuda_note(("kernel " + (kernel == kernels().end() ? "?" : readable(kernel->second.c_str()))).c_str());
  return 0;
}
int cudaFuncGetAttributes(FunctionAttributes* attributes, const void*) {
  return set(attributes, FunctionAttributes{0, 0, 0, 1024, 32, 70, 70});
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks) { return set(blocks, 8); }

// ---------------------------------------------------------------- runtime: devices, streams

int cudaGetDeviceCount(int* count) { return set(count, devices()); }
int cudaGetDevice(int* device) { return set(device, current_device); }
int cudaSetDevice(int device) { return set(&current_device, device); }
int cudaDriverGetVersion(int* version) { return set(version, kDriver); }
int cudaDeviceCanAccessPeer(int* can) { return set(can, 1); }
int cudaDeviceGetP2PAttribute(int* value) { return set(value, 1); }
int cudaDeviceGetAttribute(int* value, int attribute, int) {
  switch (attribute) {
    case 5: return set(value, 2147483647);               // grid, first axis
    case 8: case 81: case 97: return set(value, 49152);  // shared memory
    case 10: return set(value, 32);                      // threads of a warp
    case 12: case 82: return set(value, 65536);          // registers
    case 16: return set(value, 80);                      // multiprocessors
    case 75: return set(value, kComputeCapability / 10);
    case 76: return set(value, kComputeCapability % 10);
    default: return set(value, 1024);                    // nothing here depends on the others
  }
}
int cudaGetDeviceProperties(DeviceProperties* properties, int) {
  *properties = DeviceProperties();
  std::strcpy(properties->name, "no GPU");
  properties->memory = kMemory;
  properties->shared_memory = 49152;
  properties->registers = 65536;
  properties->warp_size = 32;
  properties->threads = 1024;
  for (int axis = 0; axis < 3; ++axis) properties->threads_by_axis[axis] = 1024, properties->grid[axis] = 65535;
  properties->major = kComputeCapability / 10;
  properties->minor = kComputeCapability % 10;
  return 0;
}
const char* cudaGetErrorName(int) { return "fake"; }
const char* cudaGetErrorString(int) { return "fake"; }
int cudaStreamCreate(void** stream) { return new_handle(stream); }
int cudaEventCreateWithFlags(void** event) { return new_handle(event); }
int cudaStreamSynchronize(void*) {
  fake_cuda_note("wait");
  return 0;
}

// ---------------------------------------------------------------- runtime: memory

int cudaMalloc(void** target, size_t size) {
  size = (size + 511) / 512 * 512 + 512;
  std::lock_guard<std::mutex> guard(mutex);
  log_use(current_device);
  if (used + size > kMemory || posix_memalign(target, 512, size)) return 2;  // cudaErrorMemoryAllocation
  // Embeddings of zeros would be refused by what reads them.
  std::fill_n(static_cast<float*>(*target), std::min(size, kFilled) / sizeof(float), 0.5f);
  allocations()[*target] = size;
  used += size;
  most_used = std::max(used, most_used);
  return 0;
}
int cudaMallocPitch(void** target, size_t* pitch, size_t width, size_t height) {
  *pitch = (width + 511) / 512 * 512;
  return cudaMalloc(target, *pitch * height);
}
int cudaFree(void* memory) {
  std::lock_guard<std::mutex> guard(mutex);
  auto allocation = allocations().find(memory);
  if (allocation == allocations().end()) return 0;
  used -= allocation->second;
  allocations().erase(allocation);
  std::free(memory);
  return 0;
}
int cudaHostAlloc(void** target, size_t size, unsigned) { return posix_memalign(target, 512, size + 512) ? 2 : 0; }
int cudaFreeHost(void* memory) {
  std::free(memory);
  return 0;
}
int cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> guard(mutex);
  *free = kMemory - used;
  return set(total, kMemory);
}
int cudaMemcpy(void* target, const void* source, size_t size, int) {
  fake_cuda_note("copy");
  std::memmove(target, source, size);
  return 0;
}
int cudaMemcpyAsync(void* target, const void* source, size_t size, int kind, void*) {
  return cudaMemcpy(target, source, size, kind);
}
int cudaMemcpyPeerAsync(void* target, int, const void* source, int, size_t size, void*) {
  fake_cuda_note("copy between devices");
  std::memmove(target, source, size);
  return 0;
}
int cudaMemcpy2DAsync(char* target, size_t pitch, const char* source, size_t source_pitch, size_t width, size_t height) {
  fake_cuda_note("copy");
  for (size_t row = 0; row < height; ++row) std::memmove(target + row * pitch, source + row * source_pitch, width);
  return 0;
}
int cudaMemsetAsync(void* target, int value, size_t size, void*) {
  std::memset(target, value, size);
  return 0;
}

// ---------------------------------------------------------------- driver, NVRTC: fused operators

int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* version) { return set(version, kDriver); }
int cuDeviceGetCount(int* count) { return set(count, devices()); }
int cuDeviceGet(int* device, int number) { return set(device, number); }
int cuDeviceGetAttribute(int* value, int attribute, int device) { return cudaDeviceGetAttribute(value, attribute, device); }
int cuDevicePrimaryCtxRetain(void** context) { return new_handle(context); }
int cuGetErrorString(int, const char** text) { return set(text, "fake"); }
int cuModuleLoadData(void** module) { return new_handle(module); }
int cuModuleLoadDataEx(void** module) { return new_handle(module); }
int cuModuleGetFunction(void** function, void*, const char* name) {
  return set(function, static_cast<void*>(strdup(name)));
}
int cuLaunchKernel(const char* name) {
  fake_cuda_note(("kernel fused " + std::string(name)).c_str());
  return 0;
}
int nvrtcVersion(int* major, int* minor) { return set(major, 11) + set(minor, 8); }
int nvrtcGetNumSupportedArchs(int* count) { return set(count, 1); }
int nvrtcGetSupportedArchs(int* architectures) { return set(architectures, kComputeCapability); }
// A program is its number. In the folder FAKE_CUDA_SOURCES, if it is set, NUMBER.cu is its source, and
// NUMBER.options has the options with which it is compiled, one a line.
static std::string source_file(int number, const char* ending) {
  const char* folder = std::getenv("FAKE_CUDA_SOURCES");
  return folder ? std::string(folder) + "/" + std::to_string(number) + ending : std::string();
}
int nvrtcCreateProgram(int** program, const char* source) {
  static int programs = 0;
  std::lock_guard<std::mutex> guard(mutex);
  *program = new int(programs++);
  if (std::getenv("FAKE_CUDA_SOURCES")) std::ofstream(source_file(**program, ".cu")) << source;
  return 0;
}
int nvrtcCompileProgram(const int* program, int count, const char* const* options) {
  if (!std::getenv("FAKE_CUDA_SOURCES")) return 0;
  std::ofstream file(source_file(*program, ".options"));
  for (int number = 0; number < count; ++number) file << options[number] << "\n";
  return 0;
}
int nvrtcGetLoweredName(void*, const char* expression, const char** name) {
  return set(name, static_cast<const char*>(strdup(expression)));
}
int nvrtcGetPTXSize(void*, size_t* size) { return set(size, size_t(1)); }
int nvrtcGetPTX(void*, char* code) { return set(code, '\0'); }
int nvrtcGetProgramLogSize(void*, size_t* size) { return set(size, size_t(1)); }
int nvrtcGetProgramLog(void*, char* text) { return set(text, '\0'); }
const char* nvrtcGetErrorString(int) { return "fake"; }

// ---------------------------------------------------------------- cuBLAS, NCCL

int cublasCreate_v2(void** target) { return new_handle(target); }
int cublasGetMathMode(void*, int* mode) { return set(mode, 0); }
int ncclCommInitAll(void** communicators, int count) {
  for (int number = 0; number < count; ++number) new_handle(communicators + number);
  return 0;
}

// ---------------------------------------------------------------- cuDNN

int cudnnCreate(void** target) { return new_handle(target); }
size_t cudnnGetVersion() { return 8500; }
const char* cudnnGetErrorString(int) { return "fake"; }

#define CREATE(kind) \
  int cudnnCreate##kind##Descriptor(Descriptor** target) { return set(target, new Descriptor()); }
CREATE(Activation) CREATE(Convolution) CREATE(Dropout) CREATE(Filter) CREATE(Pooling) CREATE(RNN) CREATE(RNNData)
CREATE(SpatialTransformer) CREATE(Tensor)

int cudnnSetConvolutionGroupCount(Descriptor* convolution, int groups) { return set(&convolution->groups, groups); }
int cudnnSetFilter4dDescriptor(Descriptor* filter, int, int, int, int, int height, int width) {
  return set(&filter->height, height) + set(&filter->width, width);
}

static int note_convolution(const char* pass, const Descriptor* filter, const Descriptor* convolution) {
  std::string kind = convolution->groups > 1 ? "grouped " : "";
  std::string size = std::to_string(filter->height) + "x" + std::to_string(filter->width);
  fake_cuda_note(("kernel convolution " + kind + size + " " + pass).c_str());
  return 0;
}
int cudnnConvolutionForward(void*, void*, void*, void*, Descriptor* filter, void*, Descriptor* convolution) {
  return note_convolution("forward", filter, convolution);
}
int cudnnConvolutionBackwardData(void*, void*, Descriptor* filter, void*, void*, void*, Descriptor* convolution) {
  return note_convolution("backward data", filter, convolution);
}
int cudnnConvolutionBackwardFilter(void*, void*, void*, void*, void*, void*, Descriptor* convolution, int, void*,
                                   size_t, void*, Descriptor* filter) {
  return note_convolution("backward filter", filter, convolution);
}

#define ALGORITHMS(pass)                                                                                          \
  int cudnnGetConvolution##pass##AlgorithmMaxCount(void*, int* count) { return set(count, 1); }                   \
  int cudnnFindConvolution##pass##Algorithm(void*, void*, void*, void*, void*, int, int* found, Algorithm* best) { \
    return set(found, 1) + set(best, Algorithm{1, 0, 1.0f, 0, 1, 0, {}});                                         \
  }                                                                                                               \
  int cudnnGetConvolution##pass##Algorithm_v7(void*, void*, void*, void*, void*, int, int* found, Algorithm* best) { \
    return set(found, 1) + set(best, Algorithm{1, 0, 1.0f, 0, 1, 0, {}});                                         \
  }                                                                                                               \
  int cudnnGetConvolution##pass##WorkspaceSize(void*, void*, void*, void*, void*, int, size_t* size) {            \
    return set(size, size_t(0));                                                                                  \
  }
ALGORITHMS(Forward)
ALGORITHMS(BackwardData)
ALGORITHMS(BackwardFilter)

int cudnnDropoutGetStatesSize(void*, size_t* size) { return set(size, size_t(1) << 20); }
int cudnnDropoutGetReserveSpaceSize(void*, size_t* size) { return set(size, size_t(1)); }

}  // extern "C"
