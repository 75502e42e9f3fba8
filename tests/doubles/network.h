// A network of TensorRT's double: the ONNX file that the parser read, and what goes in and comes out of it.
#pragma once

#include <memory>
#include <map>

#include "tensorrt.h"

namespace doubles {

struct Tensor final : MissingVTensor {
    static constexpr char const *interface = "ITensor";
    std::string name;
    DataType dataType = DataType::kFLOAT;
    std::vector<int64_t> dims;
    // The names that stand for sizes in the ONNX file.
    std::vector<std::string> symbols;
    bool isInput = false;

    char const *getName() const noexcept { return calls::Call("VTensor", "getName", this).result(name.c_str()); }
    DataType getType() const noexcept {
        calls::Call("VTensor", "getType", this).result(static_cast<int32_t>(dataType));
        return dataType;
    }
    Dims getDimensions() const noexcept {
        calls::Call("VTensor", "getDimensions", this);
        return dimensions(dims);
    }
    void setDimensions(Dims const &wanted) noexcept {
        calls::Call("VTensor", "setDimensions", this).argument("dims", wanted.d, wanted.nbDims);
        dims.assign(wanted.d, wanted.d + wanted.nbDims);
    }
    bool isNetworkInput() const noexcept { return isInput; }
    bool isNetworkOutput() const noexcept { return !isInput; }
};

struct Network final : MissingVNetworkDefinition {
    static constexpr char const *interface = "INetworkDefinition";
    using Tensors = std::vector<std::unique_ptr<Shell<ITensor, Tensor>>>;

    Network(ILogger &logger, uint32_t flags) : logger(logger), flags(flags) {}

    ILogger &logger;
    uint32_t const flags;
    Tensors inputs;
    Tensors outputs;
    int32_t layers = 0;
    std::string onnx;
    // Files beside the ONNX file, by the names it has for them.
    std::map<std::string, std::string> files;

    int32_t getNbInputs() const noexcept { return count("getNbInputs", inputs); }
    int32_t getNbOutputs() const noexcept { return count("getNbOutputs", outputs); }
    ITensor *getInput(int32_t index) const noexcept { return at("getInput", inputs, index); }
    ITensor *getOutput(int32_t index) const noexcept { return at("getOutput", outputs, index); }
    int32_t getNbLayers() const noexcept { return calls::Call("VNetworkDefinition", "getNbLayers", this).result(layers); }
    NetworkDefinitionCreationFlags getFlags() const noexcept { return flags; }

private:
    int32_t count(char const *method, Tensors const &tensors) const {
        return calls::Call("VNetworkDefinition", method, this).result(static_cast<int32_t>(tensors.size()));
    }
    ITensor *at(char const *method, Tensors const &tensors, int32_t index) const {
        calls::Call("VNetworkDefinition", method, this).argument("index", index);
        return index >= 0 && static_cast<size_t>(index) < tensors.size() ? tensors[static_cast<size_t>(index)].get() : nullptr;
    }
};

} // namespace doubles
