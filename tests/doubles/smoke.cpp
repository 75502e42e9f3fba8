// A client of TensorRT's, written against its headers as any other: builds an engine from an ONNX file, opens it, and runs it with
// and without a graph of CUDA's. Tells what it saw, a line each, for the tests of the doubles.
//
//   smoke MODEL.onnx PLAN OUTPUT BATCH [path]
//
// MODEL has one input of 32-bit floats, of which only the first size is free, and one output. The input counts 0, 0.01, 0.02 and so
// on. OUTPUT gets what came out, raw, four times: plain, then from the graph for the same input, for zeros, for the same again.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "NvInfer.h"
#include "NvOnnxParser.h"

using namespace nvinfer1;

extern "C" {
int cuInit(unsigned);
int cuDevicePrimaryCtxRetain(void **, int);
int cuCtxSetCurrent(void *);
int cuMemAlloc_v2(unsigned long long *, size_t);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemcpyHtoDAsync_v2(unsigned long long, void const *, size_t, void *);
int cuMemcpyDtoHAsync_v2(void *, unsigned long long, size_t, void *);
int cuStreamCreate(void **, unsigned);
int cuStreamSynchronize(void *);
int cuStreamBeginCapture_v2(void *, int);
int cuStreamEndCapture(void *, void **);
int cuGraphInstantiateWithFlags(void **, void *, unsigned long long);
int cuGraphLaunch(void *, void *);
}

namespace {

#define NEED(CONDITION)                                                                                      \
    if (!(CONDITION)) {                                                                                      \
        std::printf("failed: %s\n", #CONDITION);                                                             \
        std::exit(1);                                                                                        \
    }

struct Logger final : ILogger {
    void log(Severity severity, char const *text) noexcept override {
        std::printf("log %d %s\n", static_cast<int>(severity), text);
    }
};

struct Monitor final : IProgressMonitor {
    int phases = 0, steps = 0, ends = 0;
    void phaseStart(char const *, char const *, int32_t) noexcept override { ++phases; }
    bool stepComplete(char const *, int32_t) noexcept override {
        ++steps;
        return !std::getenv("SMOKE_CANCEL");
    }
    void phaseFinish(char const *) noexcept override { ++ends; }
};

std::string readAll(char const *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

size_t count(Dims const &dims) {
    size_t product = 1;
    for (int32_t i = 0; i < dims.nbDims; ++i) product *= static_cast<size_t>(dims.d[i]);
    return product;
}

void build(Logger &logger, char const *model, char const *plan, bool byPath) {
    std::unique_ptr<IBuilder> builder(createInferBuilder(logger));
    NEED(builder)
    std::unique_ptr<INetworkDefinition> network(builder->createNetworkV2(0));
    std::unique_ptr<nvonnxparser::IParser> parser(nvonnxparser::createParser(*network, logger));
    std::string const onnx = readAll(model);
    bool const parsed = byPath ? parser->parseFromFile(model, 0) : parser->parse(onnx.data(), onnx.size(), model);
    for (int i = 0; i < parser->getNbErrors(); ++i) {
        auto const *error = parser->getError(i);
        std::printf("parser error %d node %d: %s\n", static_cast<int>(error->code()), error->node(), error->desc());
    }
    NEED(parsed)
    std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
    ITensor *const input = network->getInput(0);
    std::printf("%s %d inputs %d outputs %d layers\n", input->getName(), network->getNbInputs(), network->getNbOutputs(),
        network->getNbLayers());
    Monitor monitor;
    config->setProgressMonitor(&monitor);
    config->setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, 64 << 20);
    // More than the device has: an error, and the limit stays.
    config->setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, size_t{1} << 50);
    std::printf("workspace %zu\n", config->getMemoryPoolLimit(MemoryPoolType::kWORKSPACE));
    IOptimizationProfile *const profile = builder->createOptimizationProfile();
    int64_t const sizes[] = {1, 4, 8};
    for (int i = 0; i < 3; ++i) {
        Dims dims = input->getDimensions();
        dims.d[0] = sizes[i];
        NEED(profile->setDimensions(input->getName(), static_cast<OptProfileSelector>(i), dims))
    }
    if (!std::getenv("SMOKE_NO_PROFILE")) NEED(config->addOptimizationProfile(profile) == 0)
    std::unique_ptr<ITimingCache> cache(config->createTimingCache(nullptr, 0));
    NEED(config->setTimingCache(*cache, false))
    std::unique_ptr<IHostMemory> serialized(builder->buildSerializedNetwork(*network, *config));
    std::printf("phases %d %d steps %d\n", monitor.phases, monitor.ends, monitor.steps);
    NEED(serialized)
    std::ofstream(plan, std::ios::binary).write(static_cast<char const *>(serialized->data()), static_cast<std::streamsize>(serialized->size()));
    std::unique_ptr<IHostMemory> entries(config->getTimingCache()->serialize());
    std::printf("timing cache %zu bytes\n", entries->size());
}

} // namespace

int main(int argc, char **argv) {
    NEED(argc >= 5)
    Logger logger;
    int const started = cuInit(0);
    std::printf("version %d cuInit %d\n", getInferLibVersion(), started);
    void *context = nullptr;
    if (!started) NEED(!cuDevicePrimaryCtxRetain(&context, 0) && !cuCtxSetCurrent(context))
    if (!std::getenv("SMOKE_PLAN_EXISTS")) build(logger, argv[1], argv[2], argc > 5);

    IRuntime *const made = createInferRuntime(logger);
    std::printf("runtime %s\n", made == reinterpret_cast<IRuntime *>(0x228) ? "0x228" : "made");
    if (reinterpret_cast<uintptr_t>(made) < 4096) return 2;
    std::unique_ptr<IRuntime> runtime(made);
    std::string const plan = readAll(argv[2]);
    std::unique_ptr<ICudaEngine> const engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    NEED(engine)
    NEED(engine->getNbIOTensors() == 2 && engine->getNbOptimizationProfiles() == 1)
    char const *const in = engine->getIOTensorName(0), *const out = engine->getIOTensorName(1);
    NEED(engine->getTensorIOMode(in) == TensorIOMode::kINPUT && engine->getTensorIOMode(out) == TensorIOMode::kOUTPUT)
    NEED(engine->getTensorDataType(in) == DataType::kFLOAT)
    NEED(engine->getProfileShape(in, 0, OptProfileSelector::kMAX).d[0] == 8)
    std::unique_ptr<IExecutionContext> const execution(engine->createExecutionContext());
    NEED(execution)
    void *stream = nullptr;
    NEED(!cuStreamCreate(&stream, 1))
    auto const cudaStream = static_cast<cudaStream_t>(stream);
    NEED(execution->setOptimizationProfileAsync(0, cudaStream) && !execution->setOptimizationProfileAsync(1, cudaStream))

    Dims dims = engine->getTensorShape(in);
    dims.d[0] = 9;
    NEED(!execution->setInputShape(in, dims))
    NEED(!execution->enqueueV3(cudaStream))
    dims.d[0] = std::atoi(argv[4]);
    NEED(execution->setInputShape(in, dims))
    size_t const inputBytes = count(dims) * sizeof(float);
    size_t const outputBytes = count(execution->getTensorShape(out)) * (engine->getTensorDataType(out) == DataType::kHALF ? 2 : 4);
    unsigned long long deviceIn = 0, deviceOut = 0;
    float *hostIn = nullptr;
    char *hostOut = nullptr;
    NEED(!cuMemAlloc_v2(&deviceIn, inputBytes) && !cuMemAlloc_v2(&deviceOut, outputBytes))
    NEED(!cuMemHostAlloc(reinterpret_cast<void **>(&hostIn), inputBytes, 0))
    NEED(!cuMemHostAlloc(reinterpret_cast<void **>(&hostOut), outputBytes, 0))
    NEED(execution->setTensorAddress(in, reinterpret_cast<void *>(deviceIn)))
    NEED(!execution->setTensorAddress(out, reinterpret_cast<void *>(deviceOut + 4)))
    NEED(execution->setTensorAddress(out, reinterpret_cast<void *>(deviceOut)))
    for (size_t i = 0; i < inputBytes / sizeof(float); ++i) hostIn[i] = 0.01F * static_cast<float>(i);

    std::ofstream results(argv[3], std::ios::binary);
    auto const run = [&] {
        return !cuMemcpyHtoDAsync_v2(deviceIn, hostIn, inputBytes, stream) && execution->enqueueV3(cudaStream)
            && !cuMemcpyDtoHAsync_v2(hostOut, deviceOut, outputBytes, stream);
    };
    auto const keep = [&] {
        NEED(!cuStreamSynchronize(stream))
        results.write(hostOut, static_cast<std::streamsize>(outputBytes));
        std::memset(hostOut, 0, outputBytes);
    };
    void *graph = nullptr, *executable = nullptr;
    // A capture before the first run for these shapes is refused, as TensorRT's would be.
    NEED(!cuStreamBeginCapture_v2(stream, 1) && !run() && !cuStreamEndCapture(stream, &graph))
    NEED(run())
    keep();
    NEED(!cuStreamBeginCapture_v2(stream, 1) && run() && !cuStreamEndCapture(stream, &graph))
    NEED(!cuGraphInstantiateWithFlags(&executable, graph, 0))
    NEED(!cuGraphLaunch(executable, stream))
    keep();
    std::vector<float> const before(hostIn, hostIn + inputBytes / sizeof(float));
    std::memset(hostIn, 0, inputBytes);
    NEED(!cuGraphLaunch(executable, stream))
    keep();
    std::memcpy(hostIn, before.data(), inputBytes);
    NEED(!cuGraphLaunch(executable, stream))
    keep();
    std::printf("output %zu bytes\n", outputBytes);
    return 0;
}
