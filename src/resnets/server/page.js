"use strict";
// Names of classes and of files come from anywhere: they are put in as text, never as HTML.

const TOP = 5, KEPT = 50;
const found = (id) => document.getElementById(id);
const about = fetch("network").then((answer) => answer.json());

function made(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

async function answered(url, file) {
  const answer = await fetch(url, {method: "POST", body: file}).catch(() => {
    throw new Error("the server does not answer");
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({error: `the server says ${answer.status}`}));
  throw new Error(said.error);
}

function line({class: name, probability}) {
  const share = `${(100 * probability).toFixed(1)}%`;
  return made("li", {}, made("span", {className: "class", textContent: name}),
    made("meter", {value: probability, title: share}),
    made("span", {className: "share", textContent: share}));
}

function explaining(file, article) {
  const button = made("button", {type: "button", textContent: "where it looked"});
  button.onclick = async () => {
    button.disabled = true;
    const place = made("div", {className: "evidence"});
    article.append(place);
    try {
      const svg = await (await answered("explain", file)).blob();
      const alt = "the image, and where in it the evidence for its likeliest classes is";
      place.append(made("img", {src: URL.createObjectURL(svg), alt}));
      button.remove();
    } catch (error) {
      place.append(made("p", {className: "error", textContent: error.message}));
    }
  };
  return button;
}

async function show(file) {
  const {explains, largest} = await about;
  const thumbnail = made("img", {className: "given", alt: "", src: URL.createObjectURL(file)});
  thumbnail.onerror = () => thumbnail.classList.add("unseen");  // a format that browsers lack
  const words = made("div", {}, made("h2", {textContent: file.name}));
  const article = made("article", {}, made("div", {}, thumbnail), words);
  found("answers").prepend(article);
  while (found("answers").children.length > KEPT) found("answers").lastChild.remove();
  try {
    if (file.size > largest) {
      throw new Error(`${file.size} bytes; at most ${largest} are taken`);
    }
    const {classes} = await (await answered(`predict?top=${TOP}`, file)).json();
    words.append(made("ol", {}, ...classes.map(line)));
    if (explains) words.append(explaining(file, article));
  } catch (error) {
    words.append(made("p", {className: "error", textContent: error.message}));
  }
}

async function showAll(files) {
  for (const file of files) await show(file);  // in order, and no more at once than one
}

about.then(({network, classes, size, channels, by}) => {
  document.title = network;
  found("name").textContent = network;
  const kind = channels === 1 ? "grey images" : "images";
  found("about").textContent =
    `tells apart ${classes.length} classes in ${kind} of ${size}×${size} pixels; computed by ${by}`;
}).catch(() => { found("about").textContent = "the server does not answer"; });
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
