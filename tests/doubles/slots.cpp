// Prints how the compiler that reads TensorRT's headers lays out what clip-tensorrt calls without headers: one `name number` a line.
// A method's number is its slot in the virtual table (Itanium C++ ABI, x86-64 and aarch64).
#include "NvInfer.h"
#include "NvOnnxParser.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

using namespace nvinfer1;
using namespace nvinfer1::apiv;
using nvonnxparser::IParser;
using nvonnxparser::IParserError;

namespace {

void line(char const *name, long number) { std::printf("%s %ld\n", name, number); }

// The two words of a pointer to a virtual method: on x86-64 the first is the offset in the table plus one; on aarch64 it is the
// offset itself, and the second one is odd.
template <class Method>
long slot(char const *name, Method method) {
    std::uintptr_t words[2];
    static_assert(sizeof(method) == sizeof(words), "not the Itanium ABI");
    std::memcpy(words, &method, sizeof(words));
#if defined(__aarch64__)
    bool const isVirtual = words[1] & 1;
    std::uintptr_t const offset = words[0];
#else
    bool const isVirtual = words[0] & 1;
    std::uintptr_t const offset = words[0] - 1;
#endif
    if (!isVirtual) {
        std::fprintf(stderr, "%s is not virtual\n", name);
        std::exit(1);
    }
    return static_cast<long>(offset / sizeof(void *));
}

// No pointer to a destructor can be taken. So it is called on an object whose table consists of functions that note their number.
long called = -1;

template <long I>
void note(void *) {
    called = I;
}

template <std::size_t... I>
void const *const *notes(std::index_sequence<I...>) {
    static void const *const table[] = {reinterpret_cast<void const *>(&note<static_cast<long>(I)>)...};
    return table;
}

template <class Class>
void destructors(char const *name) {
    void const *const *fake[16] = {notes(std::make_index_sequence<64>())};
    Class *object = reinterpret_cast<Class *>(fake);
    // The compiler is not to know what it points to.
    __asm__ volatile("" : "+r"(object) : : "memory");
    object->~Class();
    std::printf("%s::complete destructor %ld\n", name, called);
    delete object;
    std::printf("%s::deleting destructor %ld\n", name, called);
}

// Where a shell keeps the object behind it.
template <class Interface>
struct Open : Interface {
    static long offset() { return offsetof(Open, mImpl); }
};

struct Logger final : ILogger {
    void log(Severity, char const *) noexcept override {}
};

struct Monitor final : IProgressMonitor {
    void phaseStart(char const *, char const *, int32_t) noexcept override {}
    bool stepComplete(char const *, int32_t) noexcept override { return true; }
    void phaseFinish(char const *) noexcept override {}
};

void info(char const *name, IVersionedInterface const &object) {
    InterfaceInfo const info = object.getInterfaceInfo();
    std::printf("%s major %d\n%s minor %d\n", name, info.major, name, info.minor);
    std::printf("%s kind is its name %d\n", name, std::strcmp(info.kind, name) == 0);
    std::printf("%s language %d\n", name, static_cast<int>(object.getAPILanguage()));
}
void info(char const *, ...) {}

} // namespace

#define METHOD(CLASS, NAME) line(#CLASS "::" #NAME, slot(#CLASS "::" #NAME, &CLASS::NAME));
#define OVERLOAD(CLASS, NAME, RESULT, ...)                                                                   \
    line(#CLASS "::" #NAME, slot(#CLASS "::" #NAME, static_cast<RESULT (CLASS::*) __VA_ARGS__>(&CLASS::NAME)));
#define VALUE(ENUM, NAME) line(#ENUM "::" #NAME, static_cast<long>(ENUM::NAME));
#define DESTRUCTORS(CLASS) destructors<CLASS>(#CLASS);
#define SHELL(CLASS)                                                                                         \
    line(#CLASS "::mImpl offset", Open<CLASS>::offset());                                                    \
    line(#CLASS " size", sizeof(CLASS));

int main() {
    METHOD(VBuilder, createNetworkV2)
    METHOD(VBuilder, createBuilderConfig)
    METHOD(VBuilder, createOptimizationProfile)
    METHOD(VBuilder, buildSerializedNetwork)
    METHOD(VBuilder, getNbDLACores)
    METHOD(VBuilder, setMaxThreads)
    METHOD(VNetworkDefinition, getNbInputs)
    METHOD(VNetworkDefinition, getInput)
    METHOD(VNetworkDefinition, getNbOutputs)
    METHOD(VNetworkDefinition, getOutput)
    METHOD(VNetworkDefinition, getNbLayers)
    METHOD(VTensor, getName)
    METHOD(VTensor, setDimensions)
    METHOD(VTensor, getDimensions)
    METHOD(VTensor, getType)
    METHOD(VOptimizationProfile, setDimensions)
    METHOD(VBuilderConfig, addOptimizationProfile)
    METHOD(VBuilderConfig, setMemoryPoolLimit)
    METHOD(VBuilderConfig, getMemoryPoolLimit)
    METHOD(VBuilderConfig, setBuilderOptimizationLevel)
    METHOD(VBuilderConfig, setProgressMonitor)
    METHOD(VBuilderConfig, setFlag)
    METHOD(VBuilderConfig, clearFlag)
    METHOD(VBuilderConfig, getFlag)
    METHOD(VBuilderConfig, setHardwareCompatibilityLevel)
    METHOD(VBuilderConfig, createTimingCache)
    METHOD(VBuilderConfig, setTimingCache)
    METHOD(VBuilderConfig, getTimingCache)
    METHOD(VBuilderConfig, setProfilingVerbosity)
    METHOD(VBuilderConfig, setMaxAuxStreams)
    METHOD(VTimingCache, serialize)
    METHOD(VHostMemory, data)
    METHOD(VHostMemory, size)
    OVERLOAD(VRuntime, deserializeCudaEngine, ICudaEngine *, (void const *, std::size_t) noexcept)
    METHOD(VRuntime, setEngineHostCodeAllowed)
    METHOD(VCudaEngine, getNbIOTensors)
    METHOD(VCudaEngine, getIOTensorName)
    METHOD(VCudaEngine, getTensorShape)
    METHOD(VCudaEngine, getTensorDataType)
    METHOD(VCudaEngine, getTensorIOMode)
    METHOD(VCudaEngine, getNbOptimizationProfiles)
    METHOD(VCudaEngine, getProfileShape)
    METHOD(VCudaEngine, getHardwareCompatibilityLevel)
    METHOD(VCudaEngine, createExecutionContext)
#if NV_TENSORRT_MAJOR >= 11 || defined(TRT_MAJOR_RTX) || NV_TENSORRT_MINOR >= 1
    METHOD(VCudaEngine, getDeviceMemorySizeV2)
    METHOD(VCudaEngine, getStreamableWeightsSize)
    METHOD(VCudaEngine, setWeightStreamingBudgetV2)
#endif
    METHOD(VExecutionContext, setOptimizationProfileAsync)
    METHOD(VExecutionContext, setInputShape)
    METHOD(VExecutionContext, getTensorShape)
    METHOD(VExecutionContext, setTensorAddress)
    METHOD(VExecutionContext, enqueueV3)
#ifdef TRT_MAJOR_RTX
    METHOD(VBuilderConfig, setNbComputeCapabilities)
    METHOD(VBuilderConfig, setComputeCapability)
    METHOD(VRuntime, getEngineValidity)
#endif
    OVERLOAD(IParser, parse, bool, (void const *, std::size_t, char const *) noexcept)
    METHOD(IParser, parseFromFile)
    METHOD(IParser, getNbErrors)
    METHOD(IParser, getError)
    METHOD(IParserError, code)
    METHOD(IParserError, desc)
    METHOD(IParserError, file)
    METHOD(IParserError, line)
    METHOD(IParserError, func)
    METHOD(IParserError, node)

    DESTRUCTORS(IBuilder)
    DESTRUCTORS(INetworkDefinition)
    DESTRUCTORS(IBuilderConfig)
    DESTRUCTORS(IRuntime)
    DESTRUCTORS(ICudaEngine)
    DESTRUCTORS(IExecutionContext)
    DESTRUCTORS(IHostMemory)
    DESTRUCTORS(ITimingCache)
    DESTRUCTORS(IParser)

    // What the caller hands in.
    METHOD(ILogger, log)
    DESTRUCTORS(ILogger)
    line("ILogger is versioned", __is_base_of(IVersionedInterface, ILogger));
    METHOD(IVersionedInterface, getAPILanguage)
    METHOD(IVersionedInterface, getInterfaceInfo)
    info("ILogger", Logger());
    METHOD(IProgressMonitor, getAPILanguage)
    METHOD(IProgressMonitor, getInterfaceInfo)
    METHOD(IProgressMonitor, phaseStart)
    METHOD(IProgressMonitor, stepComplete)
    METHOD(IProgressMonitor, phaseFinish)
    DESTRUCTORS(IProgressMonitor)
    info("IProgressMonitor", Monitor());
#if NV_TENSORRT_MAJOR >= 11 || defined(TRT_MAJOR_RTX)
    METHOD(VRuntime, deserializeCudaEngineV2)
    METHOD(IStreamReaderV2, read)
    METHOD(IStreamReaderV2, seek)
    DESTRUCTORS(IStreamReaderV2)
#endif

    SHELL(IBuilder)
    SHELL(INetworkDefinition)
    SHELL(ITensor)
    SHELL(IOptimizationProfile)
    SHELL(IBuilderConfig)
    SHELL(ITimingCache)
    SHELL(IHostMemory)
    SHELL(IRuntime)
    SHELL(ICudaEngine)
    SHELL(IExecutionContext)
    line("Dims64 size", sizeof(Dims64));
    line("Dims64::nbDims offset", offsetof(Dims64, nbDims));
    line("Dims64::d offset", offsetof(Dims64, d));
    line("InterfaceInfo size", sizeof(InterfaceInfo));

    VALUE(NetworkDefinitionCreationFlag, kSTRONGLY_TYPED)
    VALUE(BuilderFlag, kTF32)
    VALUE(BuilderFlag, kDISABLE_TIMING_CACHE)
    VALUE(BuilderFlag, kVERSION_COMPATIBLE)
    VALUE(BuilderFlag, kSTRIP_PLAN)
    VALUE(BuilderFlag, kWEIGHT_STREAMING)
    VALUE(MemoryPoolType, kWORKSPACE)
    VALUE(MemoryPoolType, kTACTIC_DRAM)
    VALUE(MemoryPoolType, kTACTIC_SHARED_MEMORY)
    VALUE(ProfilingVerbosity, kLAYER_NAMES_ONLY)
    VALUE(ProfilingVerbosity, kNONE)
    VALUE(ProfilingVerbosity, kDETAILED)
    VALUE(HardwareCompatibilityLevel, kNONE)
    VALUE(HardwareCompatibilityLevel, kAMPERE_PLUS)
    VALUE(ExecutionContextAllocationStrategy, kSTATIC)
    VALUE(OptProfileSelector, kMIN)
    VALUE(OptProfileSelector, kOPT)
    VALUE(OptProfileSelector, kMAX)
    VALUE(TensorIOMode, kNONE)
    VALUE(TensorIOMode, kINPUT)
    VALUE(TensorIOMode, kOUTPUT)
    VALUE(DataType, kFLOAT)
    VALUE(DataType, kHALF)
    VALUE(DataType, kINT8)
    VALUE(DataType, kINT32)
    VALUE(DataType, kBOOL)
    VALUE(DataType, kUINT8)
    VALUE(DataType, kBF16)
    VALUE(DataType, kINT64)
    VALUE(ILogger::Severity, kINTERNAL_ERROR)
    VALUE(ILogger::Severity, kERROR)
    VALUE(ILogger::Severity, kWARNING)
    VALUE(ILogger::Severity, kINFO)
    VALUE(ILogger::Severity, kVERBOSE)
    VALUE(APILanguage, kCPP)
#ifdef TRT_MAJOR_RTX
    VALUE(ComputeCapability, kNONE)
    VALUE(ComputeCapability, kCURRENT)
    VALUE(ComputeCapability, kSM75)
    VALUE(ComputeCapability, kSM80)
    VALUE(ComputeCapability, kSM86)
    VALUE(ComputeCapability, kSM89)
    VALUE(ComputeCapability, kSM120)
#if NV_TENSORRT_MAJOR > 1 || NV_TENSORRT_MINOR >= 5
    VALUE(ComputeCapability, kSM121)
#endif
    VALUE(EngineValidity, kVALID)
    VALUE(EngineValidity, kSUBOPTIMAL)
    VALUE(EngineValidity, kINVALID)
#endif
    line("NV_TENSORRT_VERSION", NV_TENSORRT_VERSION);
    line("NV_ONNX_PARSER_VERSION", NV_ONNX_PARSER_VERSION);
    return 0;
}
