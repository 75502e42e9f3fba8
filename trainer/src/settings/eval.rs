//! The section `[eval]`: what validation measures.

use clip_model::templates::Template;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What validation measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalSettings {
    /// The texts that a class name is put into, with `{}` in its place; a class is embedded as the mean of what they give (the
    /// paper's section 3.1.4). `imagenet`, `simple` and `cifar` stand for OpenAI's 80, 7 and 18 templates.
    pub templates: Vec<String>,
    /// Pairs in a batch of the validation loss, which grows with its logarithm. Not given: `optim.batch`, so that it compares
    /// with the training loss, as open_clip's does.
    pub batch: Option<usize>,
}

impl Default for EvalSettings {
    fn default() -> Self {
        EvalSettings { templates: vec!["{}".into()], batch: None }
    }
}

impl EvalSettings {
    /// The templates, those of named lists included.
    ///
    /// # Errors
    /// [`Error::Settings`] for what is neither a template nor a list's name.
    pub fn templates(&self) -> Result<Vec<Template>> {
        let mut templates = Vec::new();
        for text in &self.templates {
            templates
                .extend(Template::list(text).map_err(|e| Error::Settings(format!("eval.templates: {e}")))?);
        }
        Ok(templates)
    }

    /// Refuses values that make no sense, naming the field.
    pub(super) fn validate(&self) -> Result<()> {
        if let Some(batch @ 0..2) = self.batch {
            let text = format!("eval.batch is {batch}: a contrastive loss needs at least 2 pairs");
            return Err(Error::Settings(text));
        }
        match self.templates()?.is_empty() {
            true => Err(Error::Settings("eval.templates is empty; [\"{}\"] is the class name alone".into())),
            false => Ok(()),
        }
    }
}

/// The settings of a file with `run.template`, the former name of `eval.templates`: under the present one. None for any other
/// file. Training states of former builds have it.
pub(super) fn renamed(text: &str) -> Result<Option<toml::Table>> {
    // What is wrong with the file is told with its line where it is read as settings.
    let Ok(mut table) = text.parse::<toml::Table>() else { return Ok(None) };
    let run = table.get_mut("run").and_then(toml::Value::as_table_mut);
    let Some(template) = run.and_then(|run| run.remove("template")) else { return Ok(None) };
    if !template.is_str() {
        let found = template.type_str();
        return Err(Error::Settings(format!("run.template is of type {found}, expected a text")));
    }
    let eval = table.entry("eval").or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(eval) = eval.as_table_mut()
        && eval.insert("templates".to_owned(), toml::Value::Array(vec![template])).is_some()
    {
        let text = "run.template is the former name of eval.templates: leave it out";
        return Err(Error::Settings(text.to_owned()));
    }
    Ok(Some(table))
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    const MODEL: &str = "[model]\nname = \"RN50\"\n";

    #[test]
    fn named_lists_and_templates_may_be_mixed() {
        let settings =
            Settings::parse(&format!("{MODEL}[eval]\ntemplates = [\"cifar\", \"a {{}}\"]")).unwrap();
        let templates = settings.eval.templates().unwrap();
        assert_eq!((templates.len(), templates[18].fill("cat").as_str()), (19, "a cat"));
        assert_eq!(Settings::parse(&settings.to_toml().unwrap()).unwrap(), settings);
    }

    #[test]
    fn the_former_name_is_understood() {
        let former = Settings::parse(&format!("{MODEL}[run]\ntemplate = \"a {{}}\"\nlog_every = 3")).unwrap();
        assert_eq!((former.eval.templates.as_slice(), former.run.log_every), (&["a {}".to_owned()][..], 3));
        let both = format!("{MODEL}[run]\ntemplate = \"a {{}}\"\n[eval]\nbatch = 8");
        assert_eq!(Settings::parse(&both).unwrap().eval.batch, Some(8));
        let wrong = format!("{MODEL}[run]\ntemplate = \"{{}}\"\nlog = 3");
        assert!(Settings::parse(&wrong).unwrap_err().to_string().contains("unknown field `log`"));
    }
}
