//! The shape that all families' tables have.

macro_rules! table {
    ($($(#[$doc:meta])* $field:ident: $name:literal,)*) => {
        /// Where each method stands in the virtual table of its class, and the values of the enumerations that move.
        pub struct Table {
            /// Whether `ILogger` has a version of its own in front of its methods.
            pub versioned_logger: bool,
            $($(#[$doc])* pub $field: usize,)*
        }

        impl Table {
            /// All of them, each by its name in C++.
            pub fn entries(&self) -> Vec<(&'static str, usize)> {
                vec![$(($name, self.$field)),*]
            }
        }
    };
}

table! {
    builder_create_network: "VBuilder::createNetworkV2",
    builder_create_config: "VBuilder::createBuilderConfig",
    builder_create_profile: "VBuilder::createOptimizationProfile",
    builder_build: "VBuilder::buildSerializedNetwork",
    network_inputs: "VNetworkDefinition::getNbInputs",
    network_input: "VNetworkDefinition::getInput",
    tensor_name: "VTensor::getName",
    tensor_dimensions: "VTensor::getDimensions",
    profile_set: "VOptimizationProfile::setDimensions",
    config_add_profile: "VBuilderConfig::addOptimizationProfile",
    config_set_pool: "VBuilderConfig::setMemoryPoolLimit",
    config_set_level: "VBuilderConfig::setBuilderOptimizationLevel",
    config_set_monitor: "VBuilderConfig::setProgressMonitor",
    config_clear_flag: "VBuilderConfig::clearFlag",
    config_set_flag: "VBuilderConfig::setFlag",
    config_set_hardware: "VBuilderConfig::setHardwareCompatibilityLevel",
    config_create_cache: "VBuilderConfig::createTimingCache",
    config_set_cache: "VBuilderConfig::setTimingCache",
    config_get_cache: "VBuilderConfig::getTimingCache",
    cache_serialize: "VTimingCache::serialize",
    memory_data: "VHostMemory::data",
    memory_size: "VHostMemory::size",
    runtime_deserialize: "VRuntime::deserializeCudaEngine",
    runtime_allow_host_code: "VRuntime::setEngineHostCodeAllowed",
    engine_tensors: "VCudaEngine::getNbIOTensors",
    engine_tensor_name: "VCudaEngine::getIOTensorName",
    engine_shape: "VCudaEngine::getTensorShape",
    engine_type: "VCudaEngine::getTensorDataType",
    engine_mode: "VCudaEngine::getTensorIOMode",
    engine_profiles: "VCudaEngine::getNbOptimizationProfiles",
    engine_profile_shape: "VCudaEngine::getProfileShape",
    engine_create_context: "VCudaEngine::createExecutionContext",
    context_set_shape: "VExecutionContext::setInputShape",
    context_shape: "VExecutionContext::getTensorShape",
    context_set_address: "VExecutionContext::setTensorAddress",
    context_enqueue: "VExecutionContext::enqueueV3",
    parser_parse: "IParser::parse",
    parser_errors: "IParser::getNbErrors",
    parser_error: "IParser::getError",
    parser_delete: "IParser::deleting destructor",
    error_text: "IParserError::desc",
    flag_strongly_typed: "NetworkDefinitionCreationFlag::kSTRONGLY_TYPED",
    flag_version_compatible: "BuilderFlag::kVERSION_COMPATIBLE",
    flag_tf32: "BuilderFlag::kTF32",
}
