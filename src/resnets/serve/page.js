"use strict";
// Names of classes and of files come from anywhere: they are put in as text, never as HTML.

const TOP = 5, KEPT = 50;
const found = (id) => document.getElementById(id);
let about;  // what there is to know about the network, once it has been told

function made(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

async function answered(url, options) {
  const answer = await fetch(url, options).catch(() => {
    throw new Error("the server does not answer");
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({error: `the server says ${answer.status}`}));
  throw new Error(said.error);
}

const posted = (url, file) => answered(url, {method: "POST", body: file});

async function introduced() {
  about ??= await (await answered("network")).json();
  const {network, classes, size, channels, by} = about;
  document.title = network;
  found("name").textContent = network;
  const kind = channels === 1 ? "grey images" : "images";
  found("about").textContent =
    `tells apart ${classes.length} classes in ${kind} of ${size}×${size} pixels; computed by ${by}`;
  return about;
}

function line({class: name, probability}) {
  const share = `${(100 * probability).toFixed(1)}%`;
  return made("li", {}, made("span", {className: "class", textContent: name}),
    made("meter", {value: probability, title: share}),
    made("span", {className: "share", textContent: share}));
}

const failed = (error) => made("p", {className: "error", textContent: error.message});

function explaining(file, article) {
  const button = made("button", {type: "button", textContent: "where it looked"});
  const place = made("div", {className: "evidence"});
  button.onclick = async () => {
    button.disabled = true;
    article.append(place);
    try {
      const svg = await (await posted("explain", file)).blob();
      const alt = "the image, and where in it the evidence for its likeliest classes is";
      place.replaceChildren(made("img", {src: URL.createObjectURL(svg), alt}));
      button.remove();
    } catch (error) {
      place.replaceChildren(failed(error));
      button.disabled = false;
    }
  };
  return button;
}

function forgotten(article) {
  for (const image of article.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  article.remove();
}

async function show(file) {
  const thumbnail = made("img", {className: "given", alt: "", src: URL.createObjectURL(file)});
  thumbnail.onerror = () => thumbnail.classList.add("unseen");  // a format that browsers lack
  const words = made("div", {}, made("h2", {textContent: file.name}));
  const article = made("article", {}, made("div", {}, thumbnail), words);
  const answers = found("answers");
  answers.prepend(article);
  while (answers.children.length > KEPT) forgotten(answers.lastChild);
  try {
    const {explains, largest} = await introduced();
    if (file.size > largest) {
      throw new Error(`${file.size} bytes; at most ${largest} are taken`);
    }
    const {classes} = await (await posted(`predict?top=${TOP}`, file)).json();
    words.append(made("ol", {}, ...classes.map(line)));
    if (explains) words.append(explaining(file, article));
  } catch (error) {
    words.append(failed(error));
  }
}

let last = Promise.resolve();
function showAll(files) {
  for (const file of files) last = last.then(() => show(file));  // one after the other
  return last;
}

introduced().catch((error) => { found("about").textContent = error.message; });
found("shell").textContent = `curl --data-binary @photo.jpg ${location.origin}/predict`;
found("files").onchange = (event) => {
  showAll([...event.target.files]);
  event.target.value = "";
};
const place = found("place");
document.ondragover = (event) => { event.preventDefault(); place.classList.add("over"); };
document.ondragleave = () => place.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  place.classList.remove("over");
  showAll([...event.dataTransfer.files]);
};
document.onpaste = (event) => showAll([...event.clipboardData.files]);
