//! JupyterLab as a person uses it: a notebook is opened in the browser, and its cell computes.

use crate::chrome::Chrome;
use crate::harness::PATIENCE;
use crate::harness::eventually_within;
use crate::harness::jupyter::Jupyter;
use crate::harness::stage::ALICE;
use crate::harness::stage::Stage;
use crate::sign_in::ask;
use fantoccini::Locator;
use std::time::Duration;

const NOTEBOOK: &str = r#"{"cells":[{"cell_type":"code","id":"one","execution_count":null,"metadata":{},"outputs":[],
"source":["6*7"]}],"metadata":{"kernelspec":{"display_name":"Python 3 (ipykernel)","language":"python","name":"python3"},
"language_info":{"name":"python"}},"nbformat":4,"nbformat_minor":5}"#;

#[tokio::test]
async fn a_notebook_computes_behind_the_gateway() {
    let app = Jupyter::start_with(&[("sum.ipynb", NOTEBOOK)]).await;
    let stage = Stage::before(&format!("http://127.0.0.1:{}", app.port)).await;
    let chrome = Chrome::start().await;
    let notebook = format!("http://{}/lab/tree/sum.ipynb", stage.host);
    ask(&chrome, &notebook, ALICE).await;
    let letter = stage.gateway.letter_to(ALICE).await;
    chrome.open(&letter.link).await;
    chrome.find(".jp-Notebook .jp-Cell .cm-content").await;
    // JupyterLab may ask which kernel is meant, as soon as it likes; keys pressed before that are lost.
    eventually_within(PATIENCE * 2, "the cell computes", async || {
        let asked = "const button = document.querySelector('.jp-Dialog .jp-mod-accept'); button?.click(); return !!button";
        if chrome.run(asked).await == false {
            chrome.run("document.querySelector('.jp-Notebook .jp-Cell .cm-content')?.focus()").await;
            let shift_and_enter = "\u{e008}\u{e007}";
            chrome.client.active_element().await.ok()?.send_keys(shift_and_enter).await.ok()?;
        }
        let output = Locator::Css(".jp-OutputArea-output");
        chrome.client.wait().at_most(Duration::from_secs(3)).for_element(output).await.ok()
    })
    .await;
    let output = chrome.find(".jp-OutputArea-output").await;
    assert_eq!(output.text().await.unwrap().trim(), "42");
}
