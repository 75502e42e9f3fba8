//! The tables of slots, held against a compiler's view of NVIDIA's headers.

use clip_tensorrt::Family;
use clip_testkit::doubles::{header_sets, slots};

/// What the code relies on besides the tables.
const ALWAYS: [(&str, i64); 27] = [
    ("IBuilder::deleting destructor", 1),
    ("INetworkDefinition::deleting destructor", 1),
    ("IBuilderConfig::deleting destructor", 1),
    ("IRuntime::deleting destructor", 1),
    ("ICudaEngine::deleting destructor", 1),
    ("IExecutionContext::deleting destructor", 1),
    ("IHostMemory::deleting destructor", 1),
    ("ITimingCache::deleting destructor", 1),
    ("IBuilder::mImpl offset", 8),
    ("INetworkDefinition::mImpl offset", 8),
    ("ITensor::mImpl offset", 8),
    ("IOptimizationProfile::mImpl offset", 8),
    ("IHostMemory::mImpl offset", 8),
    ("ICudaEngine::mImpl offset", 8),
    ("Dims64 size", 72),
    ("Dims64::nbDims offset", 0),
    ("Dims64::d offset", 8),
    ("InterfaceInfo size", 16),
    ("IProgressMonitor::getAPILanguage", 0),
    ("IProgressMonitor::getInterfaceInfo", 1),
    ("IProgressMonitor::phaseStart", 4),
    ("IProgressMonitor::stepComplete", 5),
    ("IProgressMonitor::phaseFinish", 6),
    ("MemoryPoolType::kWORKSPACE", 0),
    ("MemoryPoolType::kTACTIC_DRAM", 4),
    ("DataType::kFLOAT", 0),
    ("DataType::kINT32", 3),
];

#[test]
fn the_tables_are_what_the_compiler_makes_of_the_headers() {
    let mut seen = Vec::new();
    for include in header_sets() {
        let found = slots(&include);
        // The parser's errors have moved between families of the same version numbers, too: the headers say which it is.
        let name = include.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let family = match found.get("ILogger is versioned") == Some(&1) {
            modern if found.contains_key("VBuilderConfig::setComputeCapability") => {
                if modern {
                    Family::Rtx1_5
                } else {
                    Family::Rtx1_3
                }
            }
            true => Family::TensorRt11,
            false => Family::TensorRt10,
        };
        for (slot, expected) in family.slots() {
            assert_eq!(found.get(slot), Some(&(expected as i64)), "{slot} of {name}, family {family}");
        }
        for (what, expected) in ALWAYS {
            assert_eq!(found.get(what), Some(&expected), "{what} of {name}");
        }
        seen.push(family);
    }
    if !seen.is_empty() {
        for family in [Family::TensorRt11, Family::Rtx1_3, Family::Rtx1_5] {
            assert!(seen.contains(&family), "no headers of family {family}");
        }
    }
}
