//! Classes that answer every pure virtual method of TensorRT's with "the double does not have it", written from the headers: so the
//! doubles say only what they do, and compile against each version's headers.

/// The interfaces that the doubles implement, each with the namespace it is declared in.
const CLASSES: [(&str, &str); 12] = [
    ("nvinfer1::apiv", "VBuilder"),
    ("nvinfer1::apiv", "VBuilderConfig"),
    ("nvinfer1::apiv", "VCudaEngine"),
    ("nvinfer1::apiv", "VExecutionContext"),
    ("nvinfer1::apiv", "VHostMemory"),
    ("nvinfer1::apiv", "VNetworkDefinition"),
    ("nvinfer1::apiv", "VOptimizationProfile"),
    ("nvinfer1::apiv", "VRuntime"),
    ("nvinfer1::apiv", "VTensor"),
    ("nvinfer1::apiv", "VTimingCache"),
    ("nvonnxparser", "IParser"),
    ("nvonnxparser", "IParserError"),
];

/// The text of `missing_classes.h`, from that of the headers after the preprocessor.
pub fn classes(headers: &str) -> String {
    let mut text = String::from("// Written from TensorRT's headers.\n");
    for (namespace, class) in CLASSES {
        text += &format!("namespace {namespace} {{\nstruct Missing{class} : {class} {{\n");
        for method in pure_methods(headers, class) {
            text += &format!("    {}\n", method.definition(class));
        }
        text += "};\n}\n";
    }
    text
}

/// A method as it is declared: `result name(parameters) qualifiers`.
struct Method<'a> {
    result: &'a str,
    name: &'a str,
    parameters: String,
    qualifiers: &'a str,
}

impl Method<'_> {
    fn definition(&self, class: &str) -> String {
        let Method { result, name, parameters, qualifiers } = self;
        format!(
            "{result} {name}({parameters}) {qualifiers} override {{ \
             return doubles::missing<{result}>(\"{class}\", \"{name}\"); }}"
        )
    }
}

fn pure_methods<'a>(code: &'a str, class: &str) -> Vec<Method<'a>> {
    let Some(body) = body(code, class) else { return vec![] };
    let declarations = body.split(';').filter_map(|part| part.trim_end().strip_suffix("0"));
    let pure = declarations.filter_map(|part| part.trim_end().strip_suffix("="));
    pure.filter_map(|part| part.rsplit_once("virtual ").map(|(_, declaration)| declaration))
        .filter_map(method)
        .collect()
}

/// What stands between the braces of `class NAME ... { ... }`.
fn body<'a>(code: &'a str, class: &str) -> Option<&'a str> {
    let starts = code.match_indices("class ").filter(|(at, _)| {
        let after = &code[at + "class ".len()..];
        let rest = after.trim_start().trim_start_matches("[[deprecated]] ").strip_prefix(class);
        // Declared, not only named.
        rest.is_some_and(|rest| matches!(rest.trim_start().chars().next(), Some(':' | '{')))
    });
    let (start, _) = starts.into_iter().next()?;
    let open = start + code[start..].find('{')?;
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(&code[open + 1..open + at]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn method(declaration: &str) -> Option<Method<'_>> {
    let (head, rest) = declaration.split_once('(')?;
    let (parameters, qualifiers) = rest.rsplit_once(')')?;
    let head = head.trim_end();
    let at = head.rfind(|c: char| !c.is_alphanumeric() && c != '_')? + 1;
    let (result, name) = head.split_at(at);
    // A default argument belongs to the declaration alone.
    let parameters = parameters.split(',').map(|p| p.split_once('=').map_or(p, |(before, _)| before).trim());
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    // `~Class() = 0` is no method that is called.
    (!result.ends_with('~')).then(|| Method {
        result: result.trim(),
        name,
        parameters,
        qualifiers: qualifiers.trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "class VTensor;
        class VTensor : public VRoot
        {
        public:
            virtual ~VTensor() noexcept = 0;
            [[nodiscard]] virtual Dims const& shape(char const* name, int32_t i = 3) const noexcept
                = 0;
            virtual bool given() { return false; }
            virtual void set(IThing const&) noexcept = 0;
        };";

    #[test]
    fn pure_methods_become_definitions() {
        let definitions: Vec<_> =
            pure_methods(HEADER, "VTensor").iter().map(|m| m.definition("VTensor")).collect();
        let shape = "Dims const& shape(char const* name, int32_t i) const noexcept override { \
                     return doubles::missing<Dims const&>(\"VTensor\", \"shape\"); }";
        let set = "void set(IThing const&) noexcept override { return doubles::missing<void>(\"VTensor\", \"set\"); }";
        assert_eq!(definitions, [shape, set]);
    }

    #[test]
    fn a_class_that_is_not_there_has_no_methods() {
        assert!(pure_methods(HEADER, "VBuilder").is_empty());
        assert!(classes(HEADER).contains("struct MissingVBuilder : VBuilder {\n};"));
    }
}
