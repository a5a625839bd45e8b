// What is sent: the camera and microphone, or a generated picture and tone.

/**
 * Returns {stream, kind, note, stop}. kind is "camera" or "generated"; note
 * says why the picture is generated, if it was not asked for.
 */
export async function openSource(generated) {
  if (generated) return generate("");
  if (!navigator.mediaDevices?.getUserMedia) {
    return generate(instead("The browser gives no camera to pages that came over plain HTTP from another machine"));
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: true,
      video: { width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    return { stream, kind: "camera", note: "", stop: () => stopTracks(stream) };
  } catch (error) {
    return generate(instead(error.name === "NotAllowedError" ? "The camera was not allowed" : "No camera was found"));
  }
}

function instead(reason) {
  return `${reason}: a test picture is sent instead.`;
}

function generate(note) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1280, height: 720 });
  const began = performance.now();
  paint(canvas, 0);
  // A timer and not an animation frame: it goes on in a background tab.
  const painter = setInterval(() => paint(canvas, (performance.now() - began) / 1000), 1000 / 30);
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const volume = new GainNode(audio, { gain: 0.1 });
  const out = audio.createMediaStreamDestination();
  tone.frequency.value = 440;
  tone.connect(volume).connect(out);
  tone.start();
  // Browsers keep sound off until the first click on a page.
  document.addEventListener("click", () => audio.state === "suspended" && audio.resume(), { once: true });
  const stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]);
  const stop = () => {
    clearInterval(painter);
    stopTracks(stream);
    audio.close();
  };
  return { stream, kind: "generated", note, stop };
}

/** A clock hand over slowly turning colours: still frames are easy to see. */
function paint(canvas, seconds) {
  const g = canvas.getContext("2d");
  const { width, height } = canvas;
  const colours = g.createLinearGradient(0, 0, width, height);
  colours.addColorStop(0, `hsl(${(seconds * 20) % 360} 60% 35%)`);
  colours.addColorStop(1, `hsl(${(seconds * 20 + 90) % 360} 60% 20%)`);
  g.fillStyle = colours;
  g.fillRect(0, 0, width, height);
  g.translate(width / 2, height / 2);
  g.strokeStyle = "#fff";
  g.lineWidth = 14;
  g.lineCap = "round";
  g.beginPath();
  g.arc(0, 0, 220, 0, 2 * Math.PI);
  g.moveTo(0, 0);
  g.lineTo(190 * Math.sin(seconds * Math.PI), -190 * Math.cos(seconds * Math.PI));
  g.stroke();
  g.resetTransform();
  g.fillStyle = "#fff";
  g.font = "bold 56px system-ui, sans-serif";
  g.fillText(`${seconds.toFixed(2)} s`, 48, height - 48);
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
