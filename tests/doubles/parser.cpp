// A double of libnvonnxparser: reads the inputs and outputs of an ONNX file, and hands the file on as it is.
// DOUBLE_TENSORRT_REFUSE names an operation that it says it cannot parse.
#include <fstream>
#include <sstream>

#include "network.h"
#include "onnx.h"

char const *const calls::variable = "DOUBLE_TENSORRT_LOG";

namespace doubles {
namespace {

using nvonnxparser::MissingIParser;
using nvonnxparser::MissingIParserError;

struct Error final : MissingIParserError {
    Error(nvonnxparser::ErrorCode code, std::string text, int node = -1) : code_(code), text_(std::move(text)), node_(node) {}
    nvonnxparser::ErrorCode code() const { return code_; }
    char const *desc() const { return text_.c_str(); }
    char const *file() const { return "parser.cpp"; }
    int line() const { return 1; }
    char const *func() const { return "parse"; }
    int node() const { return node_; }

private:
    nvonnxparser::ErrorCode code_;
    std::string text_;
    int node_;
};

// TensorRT's type for one of ONNX's, false where there is none.
bool dataType(int32_t onnx, DataType &type) {
    switch (onnx) {
    case 1: type = DataType::kFLOAT; return true;
    case 2: type = DataType::kUINT8; return true;
    case 3: type = DataType::kINT8; return true;
    case 6: type = DataType::kINT32; return true;
    case 7: type = DataType::kINT64; return true;
    case 9: type = DataType::kBOOL; return true;
    case 10: type = DataType::kHALF; return true;
    case 16: type = DataType::kBF16; return true;
    default: return false;
    }
}

bool readFile(std::string const &path, std::string &bytes) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    bytes = all.str();
    return file.good();
}

class Parser final : public MissingIParser {
public:
    Parser(Network &network, ILogger &logger) : network_(network), logger_(logger) {}
    ~Parser() noexcept override { calls::Call("IParser", "delete", this); }

    bool parse(void const *bytes, size_t size, char const *path) noexcept {
        calls::Call call("IParser", "parse", this);
        call.argument("size", size).argument("path", path);
        return call.result(read(std::string(static_cast<char const *>(bytes), size), path ? path : ""));
    }

    bool parseFromFile(char const *path, int verbosity) noexcept {
        calls::Call call("IParser", "parseFromFile", this);
        call.argument("path", path).argument("verbosity", verbosity);
        std::string bytes;
        if (!readFile(path, bytes)) {
            return call.result(refuse(nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED, std::string("Failed to open file: ") + path));
        }
        return call.result(read(std::move(bytes), path));
    }

    int getNbErrors() const noexcept {
        return calls::Call("IParser", "getNbErrors", this).result(static_cast<int32_t>(errors_.size()));
    }

    nvonnxparser::IParserError const *getError(int index) const noexcept {
        calls::Call("IParser", "getError", this).argument("index", index);
        return index >= 0 && static_cast<size_t>(index) < errors_.size() ? errors_[static_cast<size_t>(index)].get() : nullptr;
    }

    void clearErrors() noexcept { errors_.clear(); }

private:
    bool refuse(nvonnxparser::ErrorCode code, std::string text, int node = -1) {
        report(logger_, Severity::kERROR, "%s", text.c_str());
        errors_.push_back(std::make_unique<Error>(code, std::move(text), node));
        return false;
    }

    bool read(std::string bytes, std::string const &path) {
        onnx::Model const model(bytes.data(), bytes.size());
        if (model.isBroken) {
            return refuse(nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED, "ModelImporter: Failed to parse ONNX model from stream");
        }
        if (char const *refused = std::getenv("DOUBLE_TENSORRT_REFUSE")) {
            for (size_t i = 0; i < model.nodes.size(); ++i) {
                if (model.nodes[i].operation != refused) continue;
                return refuse(nvonnxparser::ErrorCode::kUNSUPPORTED_NODE,
                    "Error in operator " + model.nodes[i].operation + " (" + model.nodes[i].name + "): not supported",
                    static_cast<int>(i));
            }
        }
        std::string const folder = path.find('/') == std::string::npos ? "." : path.substr(0, path.rfind('/'));
        for (auto const &file : model.files) {
            // Without the model's path there is no telling where its weights lie.
            if (path.empty() || !readFile(folder + "/" + file, network_.files[file])) {
                return refuse(nvonnxparser::ErrorCode::kINVALID_GRAPH, "Failed to open file: " + file);
            }
        }
        if (!take(model.inputs, true, network_.inputs) || !take(model.outputs, false, network_.outputs)) return false;
        network_.layers = static_cast<int32_t>(model.nodes.size());
        network_.onnx = std::move(bytes);
        return true;
    }

    bool take(std::vector<onnx::Value> const &values, bool areInputs, Network::Tensors &tensors) {
        for (auto const &value : values) {
            auto tensor = std::make_unique<Tensor>();
            if (!dataType(value.type, tensor->dataType) || value.dims.size() > Dims::MAX_DIMS) {
                return refuse(nvonnxparser::ErrorCode::kUNSUPPORTED_GRAPH,
                    "Unsupported type " + std::to_string(value.type) + " or number of dimensions of " + value.name);
            }
            tensor->name = value.name;
            tensor->dims = value.dims;
            tensor->symbols = value.symbols;
            tensor->isInput = areInputs;
            tensors.push_back(std::make_unique<Shell<ITensor, Tensor>>(tensor.release()));
        }
        return true;
    }

    Network &network_;
    ILogger &logger_;
    std::vector<std::unique_ptr<Error>> errors_;
};

} // namespace
} // namespace doubles

extern "C" __attribute__((visibility("default"))) void *createNvOnnxParser_INTERNAL(void *network, void *logger, int version) noexcept {
    using namespace doubles;
    calls::Call call("nvonnxparser", "createNvOnnxParser_INTERNAL");
    call.argument("version", version);
    if (!network || !logger) return nullptr;
    inspect(call, *static_cast<ILogger *>(logger));
    auto &definition = behind<Network>(*static_cast<INetworkDefinition *>(network));
    auto *const parser = new Parser(definition, *static_cast<ILogger *>(logger));
    call.argument("network", static_cast<void const *>(&definition)).result(static_cast<void const *>(parser));
    return static_cast<nvonnxparser::IParser *>(parser);
}

extern "C" __attribute__((visibility("default"))) int getNvOnnxParserVersion() noexcept { return NV_ONNX_PARSER_VERSION; }
