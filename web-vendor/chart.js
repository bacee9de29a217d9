// What the dashboard uses of Chart.js, so that the rest is left out of the bundle.
export {
  BarController, BarElement, CategoryScale, Chart, Filler, Legend, LinearScale, LineController, LineElement,
  PointElement, ScatterController, Tooltip,
} from "chart.js";
export { MatrixController, MatrixElement } from "chartjs-chart-matrix";
